"""Keys and tags of calls. This package is pure: nothing in it waits, reads time or knows a store.

* `template` parses key templates; `compile` turns a template and a function's signature into one key function.
* `signatures` checks attributes in templates against annotations; `formatter` holds the functions of templates.
* `text` turns values into text; `pattern` matches keys; `context` holds values for keys that are no arguments.
* `tags` makes the tags of calls, and those that are registered for keys.
"""
