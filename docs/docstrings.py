"""For the reference: examples in docstrings, after ``>>>``, are blocks of code; Markdown takes them for quotes."""

import re

import griffe

EXAMPLE = re.compile(r"^( *)>>> .*?(?=\n *\n|\Z)", re.DOTALL | re.MULTILINE)


class Examples(griffe.Extension):
    """Puts fences around them."""

    def on_object(self, *, obj, **_):
        """Of every docstring as it is loaded."""
        if obj.docstring is not None:
            obj.docstring.value = EXAMPLE.sub(r"\1```pycon\n\g<0>\n\1```", obj.docstring.value)
