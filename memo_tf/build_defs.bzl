"""The project's two rules, so that only this file uses Bazel's Python rules.

Third-party packages come from pip and have no targets.
"""

def memo_library(name, srcs = [], deps = [], data = []):
    """Python sources of one part of the project."""
    native.py_library(
        name = name,
        srcs = srcs,
        data = data,
        srcs_version = "PY3",
        visibility = ["//visibility:public"],
        deps = deps,
    )

def memo_test(name, srcs, deps = [], data = [], size = "medium"):
    """One test file."""
    native.py_test(
        name = name,
        size = size,
        srcs = srcs,
        main = srcs[0],
        data = data,
        python_version = "PY3",
        srcs_version = "PY3",
        deps = deps,
    )
