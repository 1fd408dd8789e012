import { empty, fill } from "../dom.js";

export default {
  name: "letters",
  title: "Failures",
  live: "letters",
  open(root) {
    fill(root, empty("Nothing is shown here yet."));
    return {};
  },
};
