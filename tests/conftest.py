pytest_plugins = ["pytester", "callboard.actors.testing.plugin"]
