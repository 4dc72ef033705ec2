"""What ``make site`` adds to the pages of this folder: pages of files that lie elsewhere, and links to them.

In the repository links lead to files, as on GitHub. In the site README.md is the front page, other Markdown a page of
its place, a notebook a page with its outputs, and every source file that a page links to a page with its text. Links
are rewritten for that; one that leads nowhere stays as it is, and a strict build ends there.
"""

import base64
import posixpath
import re
from pathlib import Path

import nbformat
from mkdocs.structure.files import File

ROOT = Path(__file__).resolve().parents[1]
FRONT = "README.md"
OUTSIDE = (FRONT, "benchmarks/README.md", "CHANGELOG.md", "CONTRIBUTING.md")  # Markdown outside this folder
LINK = re.compile(r"(\]\()(?!https?:|mailto:|#)([^)#\s]+)")
LANGUAGES = {".py": "python", ".toml": "toml", ".json": "json", ".js": "javascript", ".sh": "bash", ".yml": "yaml"}


def on_files(files, config):
    """Adds the pages, and the pictures of those that lie elsewhere."""
    pages = {uri: (ROOT / "docs" / uri).read_text() for uri in files.src_uris if uri.endswith(".md")}
    for path in OUTSIDE:
        pages[_uri(path)] = (ROOT / path).read_text()
        files.append(File.generated(config, _uri(path), content=_rewritten(pages[_uri(path)], path)))
    for notebook in sorted((ROOT / "docs").glob("*.ipynb")):
        page, pictures = _notebook(notebook)
        pages[_uri(f"docs/{notebook.name}")] = page
        files.append(File.generated(config, _uri(f"docs/{notebook.name}"), content=page))
        for name, content in pictures.items():
            files.append(File.generated(config, name, content=content))
    for uri, text in pages.items():
        for target in _targets(text, _source(uri)):
            there = _uri(target)
            if files.get_file_from_path(there) is not None or not (ROOT / target).is_file():
                continue
            if there == target:  # a picture elsewhere
                files.append(File.generated(config, there, abs_src_path=str(ROOT / target)))
            else:
                code = f"````{LANGUAGES.get(Path(target).suffix, 'text')}\n{(ROOT / target).read_text()}````\n"
                files.append(File.generated(config, there, content=f"# {target}\n\n{code}"))
    return files


def on_page_markdown(markdown, page, **_):
    """Rewrites the links of pages of this folder."""
    generated = page.file.generated_by is not None
    return markdown if generated else _rewritten(markdown, f"docs/{page.file.src_uri}")


def _uri(path):
    """Where a file of the repository is in the site."""
    inside = path.removeprefix("docs/")
    if path == FRONT:
        return "index.md"
    if path.endswith((".md", ".png", ".gif", ".svg", ".css")):
        return inside
    return f"{inside}.md" if path.endswith(".ipynb") else f"source/{path}.md"


def _source(uri):
    """The file that a page is made of."""
    if uri == _uri(FRONT):
        return FRONT
    return uri if uri in OUTSIDE else f"docs/{uri.removesuffix('.md') if uri.endswith('.ipynb.md') else uri}"


def _targets(text, path):
    return {_resolved(target, path) for _, target in LINK.findall(_prose(text))}


def _resolved(target, path):
    """A link of a file as a path in the repository."""
    return posixpath.normpath(posixpath.join(posixpath.dirname(path), target))


def _prose(text):
    """Without blocks of code."""
    return re.sub(r"^(```+).*?^\1$", "", text, flags=re.DOTALL | re.MULTILINE)


def _rewritten(text, path):
    here = posixpath.dirname(_uri(path)) or "."

    def link(found):
        target = _resolved(found[2], path)
        there = target if not (ROOT / target).is_file() else _uri(target)
        return found[1] + posixpath.relpath(there, here)

    parts = re.split(r"^(```+[^\n]*\n.*?^```+)$", text, flags=re.DOTALL | re.MULTILINE)
    return "".join(part if part.startswith("```") else LINK.sub(link, part) for part in parts)


def _notebook(path):
    """A notebook as Markdown, and its pictures by name."""
    parts, pictures = [], {}
    for number, cell in enumerate(nbformat.read(path, as_version=4).cells):
        if cell.cell_type == "markdown":
            parts.append(_rewritten(cell.source, f"docs/{path.name}"))
            continue
        parts.append(f"```python\n{cell.source}\n```")
        for output in cell.outputs:
            data = output.get("data", {})
            if "image/png" in data:
                name = f"figures/{path.stem}-{number}.png"
                pictures[name] = base64.b64decode(data["image/png"])
                parts.append(f"![]({name})")
            elif "text/html" in data:
                parts.append(
                    re.sub(
                        r"<style.*?</style>| border=\"1\" class=\"dataframe\"", "", data["text/html"], flags=re.DOTALL
                    )
                )
            elif text := output.get("text") or data.get("text/plain"):
                parts.append(f"```text\n{text.rstrip()}\n```")
    return "\n\n".join(parts) + "\n", pictures
