"""A Ray of one machine, for tests: started once, by a process of its own."""

from __future__ import annotations

import subprocess
import sys
from collections.abc import Iterator
from importlib.util import find_spec

import pytest

_HEAD = """
import sys
import ray
from ray.cluster_utils import Cluster
cluster = Cluster(initialize_head=True, head_node_args={"num_cpus": 2, "include_dashboard": False})
print(cluster.address, flush=True)
sys.stdin.read()
cluster.shutdown()
"""


@pytest.fixture(scope="module")
def ray_address() -> Iterator[str]:
    """The address of Ray's head."""
    if find_spec("ray") is None:
        pytest.skip("Ray is not installed: pip install 'callboard[cluster]'")
    command = [sys.executable, "-c", _HEAD]
    with subprocess.Popen(
        command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.DEVNULL, text=True
    ) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        address = ""
        while ":" not in address:  # before it Ray may say other things
            address = process.stdout.readline().strip()
            assert address or process.poll() is None, "Ray did not start"
        yield address
        process.stdin.close()
        process.wait()
