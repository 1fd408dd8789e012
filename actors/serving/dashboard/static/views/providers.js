import { empty, fill } from "../dom.js";

export default {
  name: "providers",
  title: "Providers",
  live: "providers",
  open(root) {
    fill(root, empty("Nothing is shown here yet."));
    return {};
  },
};
