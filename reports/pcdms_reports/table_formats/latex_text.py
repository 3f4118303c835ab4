"""Free text as LaTeX that any `pdflatex` sets: nothing in it is taken for a command."""

from __future__ import annotations

import re

_SIGNS = {
    "\\": r"\textbackslash{}", "{": r"\{", "}": r"\}", "$": r"\$", "&": r"\&", "%": r"\%",
    "#": r"\#", "_": r"\_", "~": r"$\sim$", "^": r"\textasciicircum{}",
    "<": r"\textless{}", ">": r"\textgreater{}", "|": r"\textbar{}", '"': "''",
    "±": r"$\pm$", "×": r"$\times$", "·": r"$\cdot$", "†": r"\textsuperscript{\dag}",
    "↑": r"$\uparrow$", "↓": r"$\downarrow$", "→": r"$\rightarrow$", "Δ": r"$\Delta$",
    "−": r"$-$", "–": "--", "—": "---", "…": r"\ldots{}", "≥": r"$\geq$", "≤": r"$\leq$",
    "[": "{[}", "*": "{*}",  # neither may follow the end of a table's line
    "“": "``", "”": "''", "’": "'", "\u00a0": "~", "\u2011": "-",
}  # fmt: skip
LONG = 24
"""Words of more characters may be broken behind a slash, an underscore or a hash sign."""


def latex_text(text: str) -> str:
    """Return `text` on one line, every special character escaped, code spans in typewriter.

    A character that the fonts of plain LaTeX lack becomes its code point in brackets, since a
    reason may quote any file name.
    """
    parts = " ".join(text.split()).split("`")
    shown = []
    for index, part in enumerate(parts):
        escaped = " ".join(_word(word) for word in part.split(" "))
        code = index % 2 == 1 and len(parts) % 2 == 1
        shown.append(rf"\texttt{{{escaped}}}" if code else escaped)
    return "".join(shown)


def _word(word: str) -> str:
    escaped = "".join(map(_sign, word))
    if len(word) <= LONG:
        return escaped
    return re.sub(r"(/|\\_|\\#|(?<!-)-(?!-))", r"\1\\allowbreak{}", escaped)


def _sign(sign: str) -> str:
    if sign in _SIGNS:
        return _SIGNS[sign]
    # Latin letters with accents are what every font encoding of LaTeX can set.
    if sign.isascii() or ("\u00c0" <= sign <= "\u00ff" and sign not in "ÐÞðþ"):
        return sign if sign.isprintable() else " "
    return rf"{{[}}U+{ord(sign):04X}]\allowbreak{{}}"
