"""How Sphinx builds the pages: `make docs`."""

project = 'lkdense'
html_title = 'lkdense'
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon']
html_theme = 'furo'
exclude_patterns = ['model_zoo']
# links to #headings, three levels deep, as GitHub makes them
myst_heading_anchors = 3
autodoc_member_order = 'bysource'
autodoc_typehints = 'none'
html_show_copyright = False
html_show_sphinx = False
highlight_language = 'none'
