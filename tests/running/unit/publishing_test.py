"""What a run's output files hold."""

import io

from absl.testing import absltest
from absl.testing import parameterized
import numpy as np

from memo_tf.running.unit import publishing


class LogitsTest(parameterized.TestCase):
  @parameterized.parameters(
    ([[1.5, -65504.0]], np.float16),
    ([[1.5, 65504.1]], np.float32),
    ([[1.5, -1e30]], np.float32),
    (np.empty((0, 10)), np.float16),
  )
  def test_logits_beyond_float16_are_kept_as_float32(self, values, kind):
    logits = np.asarray(values, np.float32)

    contents = publishing.output_contents(
      ["logits.npy"], None, [], logits, None
    )

    stored = np.load(io.BytesIO(contents["logits.npy"]), allow_pickle=False)
    self.assertEqual(stored.dtype, kind)
    np.testing.assert_allclose(stored, logits, rtol=1e-3)


if __name__ == "__main__":
  absltest.main()
