"""A local page on which models say what they see in an image: `lkdense serve`.

``images`` decodes what comes in, ``subject`` asks a model, ``session`` keeps both, ``app`` answers the browser, and
``static/`` is the page: HTML, CSS and JavaScript as they are written, without a build and nothing from elsewhere.
"""
