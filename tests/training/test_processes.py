"""Several training processes do what one does."""

import json
import subprocess
import sys

import pytest
import torch
from safetensors.torch import load_file

from tests.support.train_tiny import main


@pytest.mark.slow
@pytest.mark.timeout(200)
def test_a_process_without_a_share_of_the_last_batch_does_not_halt_the_others(tmp_path):
    launcher = [sys.executable, "-m", "torch.distributed.run", "--standalone", "--nproc_per_node", "2"]
    command = [*launcher, "-m", "tests.support.train_tiny", str(tmp_path / "two")]
    with subprocess.Popen(command) as processes:
        try:
            assert processes.wait(timeout=90) == 0
        finally:
            processes.terminate()  # ends the processes that it started
    alone = main(tmp_path / "one")
    record = json.loads((tmp_path / "two" / "record.json").read_text())
    assert record["hardware"]["processes"] == 2 and record["finished_steps"] == 2
    for mine, theirs in zip(alone, record["curve"], strict=True):
        assert theirs == pytest.approx(mine, rel=1e-4)
    weights = [load_file(tmp_path / run / "adapter" / "adapter_model.safetensors") for run in ("one", "two")]
    for name, value in weights[0].items():
        torch.testing.assert_close(weights[1][name], value, rtol=1e-2, atol=1e-3)
