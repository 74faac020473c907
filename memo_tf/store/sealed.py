"""Files that carry the digest of their own content.

JSON records (`config.json`, `info.json`, `run.json`, `digests.json`,
`environment.json`) have it on their first line, a flagfile in a comment; it is
that of every byte that follows. Digests elsewhere vouch for arrays; these vouch
for the records that hold the numbers and digests.
"""

import json
import re

from memo_tf.experiment import config as config_lib
from memo_tf.store import files

KEY = "content_digest"
# Records of format 1 have no digest.
SEALED_SINCE = 2
_JSON_SEAL = re.compile(rb'\{\n  "content_digest": "([0-9a-f]{32})",')
_COMMENT = b"# content_digest of the lines below: "
_TEXT_SEAL = re.compile(re.escape(_COMMENT) + rb"([0-9a-f]{32})\n")
_CHANGED = "its content does not have the digest recorded in it"


def seal_json(text: str) -> str:
  """A JSON object's text with the digest of the rest on its first line.

  Args:
    text: of an object with at least one field.
  """
  rest = text.strip()[1:] + "\n"
  digest = files.digest_bytes(rest.encode())
  return f'{{\n  "{KEY}": "{digest}",{rest}'


def dumps(content: dict) -> str:
  """A record as sealed JSON."""
  return seal_json(json.dumps(content, indent=2))


def unsealed(text: bytes | str) -> str:
  """The text of a record without its digest, which is compared.

  Raises:
    ValueError: if its content has another digest, or has none and is of a
      format that has one; or if it is not JSON in UTF-8.
  """
  content = text.encode("utf-8", "replace") if isinstance(text, str) else text
  if found := _JSON_SEAL.match(content):
    rest = content[found.end() :]
    if files.digest_bytes(rest).encode() != found[1]:
      raise ValueError(_CHANGED)
    return "{" + rest.decode()
  decoded = content.decode()
  record = json.loads(decoded)
  version = record.get("format_version") if isinstance(record, dict) else None
  is_of_this_format = (
    isinstance(version, int)
    and SEALED_SINCE <= version <= config_lib.FORMAT_VERSION
  )
  if is_of_this_format or (isinstance(record, dict) and KEY in record):
    raise ValueError("it does not begin with the digest of its content")
  return decoded


def loads(text: bytes | str) -> dict:
  """The content of a record, without its digest, which is compared.

  Raises:
    ValueError: as `unsealed`; or if it is not a JSON object of finite numbers.
  """
  content = json.loads(unsealed(text), parse_constant=_refuse_constant)
  if not isinstance(content, dict):
    raise ValueError("it is not a JSON object")
  return content


def seal_text(text: str) -> str:
  """A flagfile with the digest of its lines in a first comment."""
  digest = files.digest_bytes(text.encode())
  return f"{_COMMENT.decode()}{digest}\n{text}"


def text_problem(text: bytes) -> str | None:
  """How a flagfile differs from what `seal_text` wrote; None if it does not."""
  found = _TEXT_SEAL.match(text)
  if not found:
    return "does not begin with the digest of its lines"
  if found[1] != files.digest_bytes(text[found.end() :]).encode():
    return "does not have the digest recorded in it"
  return None


def is_sealed_text(text: bytes) -> bool:
  """Whether a flagfile was written by `seal_text`, and maybe changed since."""
  return text.startswith(_COMMENT)


def _refuse_constant(name: str):
  raise ValueError(f"it holds {name} in place of a number")
