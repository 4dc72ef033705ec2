"""The scripts with which shells complete commands and flags."""

import shutil
import subprocess

import pytest

from nmmo_jax import cli
from nmmo_jax.common import parsing

# What bash does at the tab key: it calls the function that was registered; what comes of it, one a line.
TAB = """
source "$1"; shift
COMP_WORDS=("$@"); COMP_CWORD=$(($# - 1))
$(complete -p nmmo-jax | sed 's/.*-F \\([^ ]*\\) .*/\\1/')
printf '%s\\n' "${COMPREPLY[@]}"
"""


@pytest.fixture(scope="module")
def script(tmp_path_factory):
    """``script(shell)``: a file with it."""

    def write(shell):
        path = tmp_path_factory.mktemp("completion") / shell
        path.write_text(parsing.completion(cli.Command, "nmmo-jax", shell))
        return path

    return write


@pytest.mark.parametrize("shell", ["bash", "zsh"])
def test_it_names_all_commands(shell, script, capsys):
    text = script(shell).read_text()
    for name, kind in parsing._commands(cli.Command).items():
        for word in (name, *parsing._commands(kind)):
            assert f"'{word}'" in text
    for flag in parsing._flags(parsing._commands(cli.Command)["train"])[0] - {"-h"}:
        assert flag in text
    with pytest.raises(SystemExit) as ended:
        cli.main(["completion", shell])
    assert ended.value.code == 0 and capsys.readouterr().out == text
    if shutil.which(shell):
        subprocess.run([shell, "-n", script(shell)], check=True)


@pytest.mark.skipif(shutil.which("bash") is None, reason="no bash")
@pytest.mark.parametrize(("words", "among", "not_among"), [
    ("sim", {"simulate"}, {"train"}), ("", {"simulate", "train", "info"}, {"generate"}),
    ("maps ge", {"generate"}, {"simulate"}), ("train --mi", {"--minutes"}, {"--updates"}),
    ("simulate --game l", {"law"}, {"chaos"}),
])  # fmt: skip
def test_bash_completes(words, among, not_among, script):
    command = ["bash", "--norc", "-c", TAB, "tab", script("bash"), "nmmo-jax", *words.split(" ")]
    found = set(subprocess.run(command, capture_output=True, text=True, check=True).stdout.split("\n"))
    assert among <= found and not found & not_among


def test_another_shell_is_refused(refused):
    assert refused("completion", "zhs") == "SHELL='zhs': allowed are 'bash', 'zsh'; did you mean zsh?"
