"""Records that carry the digest of their own content."""

import json

from absl.testing import absltest
from absl.testing import parameterized

from memo_tf.store import sealed

RECORD = {"format_version": 2, "mean": [4.88, 1e-300], "name": "é\n", "n": None}


class SealedJsonTest(parameterized.TestCase):
  def test_round_trip(self):
    text = sealed.dumps(RECORD)

    self.assertEqual(sealed.loads(text), RECORD)
    self.assertEqual(sealed.loads(text.encode()), RECORD)
    # Anybody else reads it as JSON.
    self.assertEqual(
      json.loads(text), {sealed.KEY: json.loads(text)[sealed.KEY], **RECORD}
    )

  def test_every_flipped_bit_is_found(self):
    text = sealed.dumps(RECORD).encode()
    for place in range(len(text)):
      for bit in range(8):
        changed = bytearray(text)
        changed[place] ^= 1 << bit
        with self.assertRaises(ValueError, msg=(place, bit)):
          sealed.loads(bytes(changed))

  def test_every_cut_is_found(self):
    text = sealed.dumps(RECORD).encode()
    for length in range(len(text)):
      with self.assertRaises(ValueError):
        sealed.loads(text[:length])

  @parameterized.parameters(
    (json.dumps(RECORD), "does not begin with the digest"),
    # Written anew by another program, with the digest in another place.
    (json.dumps({**RECORD, sealed.KEY: "0" * 32}), "does not begin with"),
    (json.dumps({"format_version": 1, sealed.KEY: "0" * 32}), "does not begin"),
    ("[1, 2]", "is not a JSON object"),
    ('{"format_version": 1, "mean": Infinity}', "holds Infinity in place"),
    ('{"format_version": 1, "mean": NaN}', "holds NaN in place"),
  )
  def test_refused(self, text, message):
    with self.assertRaisesRegex(ValueError, message):
      sealed.loads(text)

  def test_older_and_newer_formats_are_read(self):
    for version in (1, 3):  # whoever reads it says that 3 is newer
      record = {"format_version": version}
      self.assertEqual(sealed.loads(json.dumps(record)), record)


class SealedTextTest(absltest.TestCase):
  def test_round_trip(self):
    text = sealed.seal_text("--epochs=3\n")

    self.assertStartsWith(text, "# ")
    self.assertEndsWith(text, "\n--epochs=3\n")
    self.assertIsNone(sealed.text_problem(text.encode()))

  def test_every_flipped_bit_is_found(self):
    text = sealed.seal_text("--epochs=3\n").encode()
    for place in range(len(text)):
      changed = bytearray(text)
      changed[place] ^= 1
      self.assertIsNotNone(sealed.text_problem(bytes(changed)), place)

  def test_a_users_own_flagfile_is_not_sealed(self):
    self.assertFalse(sealed.is_sealed_text(b"# mine\n--epochs=3\n"))


if __name__ == "__main__":
  absltest.main()
