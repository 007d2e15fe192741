import re
from pathlib import Path

from standout.networks import NETWORKS, build_network, cost

PAGE = Path(__file__).parents[2] / "docs" / "networks.md"


def test_the_page_states_what_every_network_costs():
    rows = re.findall(r"^\| `(\w+)` \| ([\d,]+) \| ([\d,]+) \|", PAGE.read_text(encoding="utf-8"), re.MULTILINE)
    stated = {name: tuple(int(number.replace(",", "")) for number in numbers) for name, *numbers in rows}

    assert stated == {name: tuple(cost(build_network(name), 320)) for name in NETWORKS}


def test_the_pages_programs_run(capsys):
    names = {}
    for program in re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.MULTILINE | re.DOTALL):
        exec(compile(program, str(PAGE), "exec"), names)

    printed = capsys.readouterr().out
    assert "Cost(parameters=1831489" in printed
    assert "torch.Size([1, 1, 225, 300]) torch.Size([1, 32, 57, 75])" in printed
    assert "fusion_mobilenetv2_100 320 1.0" in printed
