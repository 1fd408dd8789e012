import { empty, fill } from "../dom.js";

export default {
  name: "money",
  title: "Money",
  live: "money",
  open(root) {
    fill(root, empty("Nothing is shown here yet."));
    return {};
  },
};
