"""Write a page with the search widget: ``python examples/widget_page.py > page.html``.

The token is signed here, on the server, from the API key; only the token goes into the page. It is valid for 24 hours,
so a page is rendered for each request or kept for less than that, not generated once and for all.
"""

import sys
from string import Template

from neuroon_async import NeuroonClient

PAGE = Template("""\
<!doctype html>
<html lang="en">
<head><meta charset="utf-8"><title>Shop</title></head>
<body>
<h1>Search</h1>
<div id="neuroon-search"></div>
$widget
</body>
</html>
""")


def main() -> None:
    widget = NeuroonClient.from_env().widget  # needs no event loop and no closing: nothing is sent
    sys.stdout.write(PAGE.substitute(widget=widget.script_tag(theme="dark")))


if __name__ == "__main__":
    main()
