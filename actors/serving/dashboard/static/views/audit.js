import { empty, fill } from "../dom.js";

export default {
  name: "audit",
  title: "Audit log",
  live: null,
  open(root) {
    fill(root, empty("Nothing is shown here yet."));
    return {};
  },
};
