import { empty, fill } from "../dom.js";

export default {
  name: "actors",
  title: "Actors",
  live: "actors",
  open(root) {
    fill(root, empty("Nothing is shown here yet."));
    return {};
  },
};
