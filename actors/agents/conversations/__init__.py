"""Conversations as they are kept: read, listed, forked, rewound, erased and gone through again."""
