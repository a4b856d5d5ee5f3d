"""`up` writes its own configuration and overwrites nobody else's."""

from pathlib import Path

import pytest

from lockstep.ops.local.config_file import write_config
from lockstep.runtime import config
from lockstep.runtime.process import EnvironmentFault

EXAMPLE = Path(config.__file__).resolve().parent / "cluster.example.toml"


def test_a_configuration_that_up_wrote_is_written_again(tmp_path: Path) -> None:
    path = tmp_path / "cluster.toml"
    topology = config.load(EXAMPLE)
    for _ in range(2):
        write_config(path, topology)
        assert config.load(path) == topology


@pytest.mark.parametrize("text", ["", "# my own\n", EXAMPLE.read_text()])
def test_a_configuration_written_by_hand_is_left_alone(tmp_path: Path, text: str) -> None:
    path = tmp_path / "cluster.toml"
    path.write_text(text)
    with pytest.raises(EnvironmentFault, match="would be overwritten; choose another --data-dir"):
        write_config(path, config.load(EXAMPLE))
    assert path.read_text() == text
