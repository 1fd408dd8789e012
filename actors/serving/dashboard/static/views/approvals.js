import { empty, fill } from "../dom.js";

export default {
  name: "approvals",
  title: "Approvals",
  live: "approvals",
  open(root) {
    fill(root, empty("Nothing is shown here yet."));
    return {};
  },
};
