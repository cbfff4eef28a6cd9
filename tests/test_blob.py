import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from jobflow import job, run_locally
from monty.json import MontyDecoder, MontyEncoder

from forcebase.blob import Blob
from forcebase.errors import IntegrityError

arrays = hnp.arrays(
    dtype=st.sampled_from(["<f8", "<f4", "<i8", "<i4", "?", "<U7"]),
    shape=hnp.array_shapes(min_dims=0, max_dims=3, min_side=0, max_side=5),
)


@given(a=arrays, b=arrays)
def test_arrays_come_back_exactly(a, b):
    found = Blob.from_dict(json.loads(json.dumps(Blob.from_arrays(a=a, b=b).as_dict()))).arrays()
    assert set(found) == {"a", "b"}
    for sent, back in ((a, found["a"]), (b, found["b"])):
        assert back.dtype == sent.dtype
        assert back.shape == sent.shape
        assert back.tobytes() == sent.tobytes()


@given(data=st.binary())
def test_bytes_come_back_exactly_through_monty(data):
    back = json.loads(json.dumps(Blob(data), cls=MontyEncoder), cls=MontyDecoder)
    assert back == Blob(data)
    assert back.sha256 == Blob(data).sha256


@given(data=st.binary(), other=st.binary())
def test_a_change_on_the_way_is_noticed(data, other):
    document = Blob(data).as_dict() | {"zlib_base64": Blob(other).as_dict()["zlib_base64"]}
    if data == other:
        assert Blob.from_dict(document).data == data
        return
    with pytest.raises(IntegrityError) as caught:
        Blob.from_dict(document)
    assert caught.value.evidence["found"] == Blob(other).sha256


def test_pickled_objects_are_refused():
    blob = Blob.from_arrays(a=np.array([{"code": "any"}], dtype=object))
    with pytest.raises(ValueError, match="allow_pickle"):
        blob.arrays()


@job(data=[Blob])
def make_blob() -> dict:
    return {"forces": Blob.from_arrays(forces=np.linspace(0, 1, 3000).reshape(-1, 3))}


def test_a_job_leaves_the_bytes_in_the_data_store(tmp_path, store):
    made = make_blob()
    run_locally(made, store=store, root_dir=tmp_path, ensure_success=True)
    document = store.query_one({"uuid": made.uuid})
    assert "zlib_base64" not in document["output"]["forces"]
    assert len(json.dumps(document["output"])) < 1000
    blob = MontyDecoder().process_decoded(store.get_output(made.uuid, load=True))["forces"]
    np.testing.assert_array_equal(blob.arrays()["forces"][-1], np.linspace(0, 1, 3000)[-3:])
