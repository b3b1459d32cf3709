"""Renders the templates of reports to one HTML file without external references."""

from pathlib import Path

import jinja2
from markupsafe import Markup

from keras_cct.errors import InputError
from keras_cct.files import replacing

TEMPLATES = Path(__file__).parent / "templates"


def write_page(template: str, path: Path, **values: object) -> Path:
    """Renders a template and writes it atomically.

    Args:
        template: File name of a template. Values are escaped, except SVG, which is `Markup`.
        path: The HTML file; an existing one is replaced.
        **values: Values for the template.

    Returns:
        The path.

    Raises:
        InputError: The file cannot be written.
    """
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(TEMPLATES),
        autoescape=True,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    style, script = (Markup((TEMPLATES / name).read_text(encoding="utf-8")) for name in ("style.css", "table.js"))
    text = environment.get_template(template).render(style=style, script=script, **values)
    try:
        with replacing(path) as temporary:
            temporary.write_text(text, encoding="utf-8")
    except OSError as error:
        raise InputError(f"cannot write {str(path)!r}: {error.strerror}. Choose another file.") from error
    return path
