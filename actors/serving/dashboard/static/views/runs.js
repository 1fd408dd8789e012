import { empty, fill } from "../dom.js";

export default {
  name: "runs",
  title: "Runs",
  live: "runs",
  open(root) {
    fill(root, empty("Nothing is shown here yet."));
    return {};
  },
};
