import json

import pytest

from keras_cct.errors import InputError
from keras_cct.inference.metadata import ArtifactMetadata

METADATA = ArtifactMetadata("cct_2_3x2_32", (28, 28, 1), ("é", "b"), "int8", 4, "lr: 1\n")


def test_metadata_survive_json():
    assert ArtifactMetadata.from_json(METADATA.to_json(), "artifact") == METADATA
    assert json.loads(METADATA.to_json())["pixel_range"] == [0, 255]
    assert "\n" not in METADATA.to_json()


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"image_shape": [1, 2]}', "null"])
def test_foreign_metadata_are_refused_with_the_path(text):
    with pytest.raises(InputError, match="'artifact' is not a complete artifact"):
        ArtifactMetadata.from_json(text, "artifact")
