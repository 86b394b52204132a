"""A local page that shows what models predict for an image and where they look: `lkdense serve`.

``images`` decodes what comes in, ``served_model`` asks a model, ``session`` keeps images and predictions, ``app``
answers the browser, and ``static/`` is the page: plain HTML, CSS and JavaScript, without a build step and without
anything from another host.
"""
