"""How Sphinx builds the pages: `make docs`."""

project = 'lkdense'
html_title = 'lkdense'
extensions = ['myst_parser', 'sphinx.ext.autodoc', 'sphinx.ext.napoleon', 'sphinx_copybutton']
html_theme = 'furo'
html_static_path = ['_static']
html_css_files = ['lkdense.css']
# The folder holds the figures that the page of the same name is written from.
exclude_patterns = ['reference/model_zoo']
# Links to #headings work three levels deep, under the names that GitHub gives them.
myst_heading_anchors = 3
autodoc_member_order = 'bysource'
autodoc_typehints = 'none'
html_show_copyright = False
html_show_sphinx = False
highlight_language = 'none'
# Dashes stay as they are typed, also in the options that errors name.
smartquotes = False
