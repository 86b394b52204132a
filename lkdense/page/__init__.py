"""A local page on which models say what they see in an image: `lkdense serve`.

``images`` decodes what comes in, ``subject`` asks a model, ``app`` answers the browser, ``static/`` is the page itself:
HTML, CSS and JavaScript as they are written, without a build or anything from another host.
"""
