#!/usr/bin/env python3
"""Makes an SVG of a terminal's screen: `tmux capture-pane -e -p | docs/screen-to-svg.py > docs/watch.svg`.

Text is drawn as text, blocks and lines as shapes, so that it looks the same whatever fonts there are."""

import re
import sys
import unicodedata
from html import escape

WIDTH, HEIGHT, SIZE, EDGE = 8.4, 18, 14, 14
GROUND, INK = "#16181d", "#d7dae0"
COLOURS = ["#5c6370", "#e06c75", "#98c379", "#e5c07b", "#61afef", "#c678dd", "#56b6c2", "#d7dae0"]


def columns(char):
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


class Style:
    def __init__(self):
        self.colour, self.bold, self.dim, self.reversed = None, False, False, False

    def take(self, codes):
        codes = [int(code or 0) for code in codes.split(";")]
        while codes:
            code = codes.pop(0)
            if code == 0:
                self.__init__()
            elif code in (1, 2, 7):
                setattr(self, {1: "bold", 2: "dim", 7: "reversed"}[code], True)
            elif code == 22:
                self.bold = self.dim = False
            elif code == 27:
                self.reversed = False
            elif code == 39:
                self.colour = None
            elif 30 <= code <= 37 or 90 <= code <= 97:
                self.colour = COLOURS[code % 10]
            elif code == 38 and codes[:1] == [5]:
                self.colour, codes = COLOURS[codes[1] % 8], codes[2:]

    def key(self):
        return self.colour, self.bold, self.dim, self.reversed


def cells(line, style):
    """The line's characters with their column and look."""
    at = 0
    for part in re.split(r"(\x1b\[[0-9;]*m)", line):
        if part.startswith("\x1b["):
            style.take(part[2:-1])
            continue
        for char in part:
            yield at, char, style.key()
            at += columns(char)


def draw(row, line, style, out):
    y = EDGE + row * HEIGHT
    runs = []
    for at, char, look in cells(line, style):
        kind = char if char in "█░─" else "text"
        if runs and runs[-1][2] == look and runs[-1][3] == kind and kind != "text":
            runs[-1][1] += char
        elif runs and runs[-1][2:] == [look, kind] and not (char == " " and runs[-1][1].endswith("  ")):
            runs[-1][1] += char
        else:
            runs.append([at, char, look, kind])
    for at, text, (colour, bold, dim, turned), kind in runs:
        wide = sum(columns(char) for char in text)
        x, width, ink = EDGE + at * WIDTH, wide * WIDTH, colour or INK
        if turned:
            out.append(f'<rect x="{x:.1f}" y="{y}" width="{width:.1f}" height="{HEIGHT}" fill="{ink}"/>')
            ink = GROUND
        if kind in "█░":
            faint = ' fill-opacity=".35"' if kind == "░" else ""
            out.append(f'<rect x="{x:.1f}" y="{y + 3}" width="{width:.1f}" height="{HEIGHT - 6}" fill="{ink}"{faint}/>')
        elif kind == "─":
            middle = y + HEIGHT / 2
            out.append(f'<path d="M{x:.1f} {middle}h{width:.1f}" stroke="{ink}" stroke-opacity=".7"/>')
        elif text.strip():
            begin = len(text) - len(text.lstrip(" "))
            text = text.strip(" ")
            wide = sum(columns(char) for char in text)
            weight = ' font-weight="bold"' if bold else ""
            faint = ' opacity=".6"' if dim else ""
            out.append(
                f'<text x="{x + begin * WIDTH:.1f}" y="{y + 13.5}" textLength="{wide * WIDTH:.1f}" '
                f'lengthAdjust="spacingAndGlyphs" fill="{ink}"{weight}{faint}>{escape(text)}</text>'
            )


def main():
    lines = sys.stdin.read().rstrip("\n").split("\n")
    style, out = Style(), []
    for row, line in enumerate(lines):
        draw(row, line, style, out)
    most = max(sum(columns(char) for char in re.sub(r"\x1b\[[0-9;]*m", "", line)) for line in lines)
    width, height = 2 * EDGE + most * WIDTH, 2 * EDGE + len(lines) * HEIGHT
    print(
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {width:.0f} {height:.0f}" xml:space="preserve" '
        f'font-family="ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace" font-size="{SIZE}">'
        f'<title>tasktally watch</title><rect width="100%" height="100%" rx="8" fill="{GROUND}"/>'
    )
    print("\n".join(out))
    print("</svg>")


main()
