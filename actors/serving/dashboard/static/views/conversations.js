import { empty, fill } from "../dom.js";

export default {
  name: "conversations",
  title: "Conversations",
  live: null,
  open(root) {
    fill(root, empty("Nothing is shown here yet."));
    return {};
  },
};
