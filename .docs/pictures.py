"""Makes the pictures of the README, small ones: the dashboard, of what `make browser-shots` left, and the demo."""

from __future__ import annotations

import subprocess
import sys
import tempfile
from pathlib import Path
from xml.sax.saxutils import escape

from PIL import Image

ROOT = Path(__file__).resolve().parents[1]
PICTURES = ROOT / ".docs" / "pictures"
SHOT = ROOT / ".dashboard-shots" / "actors-1280-light.png"
SHOP = {
    "shop/README.md": "# Shop\n\nSee [the basket](basket.py) and [what things cost](prices.md).\n",
    "shop/basket.py": "def total(items):\n    # TODO: what of discounts?\n    return sum(items)\n",
    "shop/mail.py": "def send(letter):\n    # FIXME: a letter that comes back is lost\n    print(letter)\n",
}
LINE, LETTER, MOST, WIDEST = 17, 7.4, 49, 118
COLOURS = {"✗": "#c92a2a", "!": "#b35900", "↻": "#2b8a3e", "⇠": "#5f6b7a"}


def dashboard() -> None:
    """A picture of all that runs, in few colours."""
    with Image.open(SHOT) as shot:
        shot.convert("RGB").quantize(48).save(PICTURES / "dashboard.png", optimize=True)


def demo() -> str:
    """What the demo prints about a small folder."""
    with tempfile.TemporaryDirectory() as root:
        for name, text in SHOP.items():
            file = Path(root) / name
            file.parent.mkdir(exist_ok=True)
            file.write_text(text, encoding="utf-8")
        command = [Path(sys.executable).with_name("callboard"), "demo", "shop"]
        done = subprocess.run(command, cwd=root, capture_output=True, encoding="utf-8", check=True)
        return done.stdout.replace(str(Path(root).resolve()), "~")


def drawn(text: str) -> str:
    """Lines of a terminal as a picture."""
    lines = ["$ make demo FOLDER=shop", *text.splitlines()][:MOST]
    rows = []
    for number, line in enumerate(lines):
        cut = line if len(line) <= WIDEST else line[: WIDEST - 1] + "…"
        colour = next((colour for mark, colour in COLOURS.items() if f" {mark} " in line[:30]), "#1c2430")
        rows.append(f'<text x="14" y="{26 + number * LINE}" fill="{colour}" xml:space="preserve">{escape(cut)}</text>')
    width, height = round(28 + WIDEST * LETTER), 28 + len(lines) * LINE
    font = "12.3px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace"
    frame = f'<rect width="{width}" height="{height}" rx="8" fill="#f6f8fa" stroke="#d0d7de"/>'
    head = (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width} {height}" width="{width}" style="font:{font}">'
    )
    return "\n".join([head, frame, *rows, "</svg>", ""])


if __name__ == "__main__":
    PICTURES.mkdir(exist_ok=True)
    dashboard()
    (PICTURES / "demo.svg").write_text(drawn(demo()), encoding="utf-8")
