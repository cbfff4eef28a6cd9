from ase.build import bulk
from ase.calculators.emt import EMT
from jobflow import Flow, job, run_locally

from forcebase.blob import Blob
from forcebase.curation.pipeline import Curation, curate
from forcebase.curation.steps import LabelsPresent, OneMethod
from forcebase.frames import Frames
from forcebase.makers.curation import CurateMaker


def candidates(n: int = 12) -> Frames:
    cells = []
    for seed in range(n):
        cells.append(bulk("Cu", cubic=True))
        cells[-1].rattle(0.1, seed=seed)
        cells[-1].calc = EMT()
    return Frames.from_atoms(
        cells,
        ids=[f"c{i:02}" for i in range(n)],
        families=[f"f{i:02}" for i in range(n)],
        methods=["dft"] * n,
        energies=[atoms.get_potential_energy() for atoms in cells],
        forces=[atoms.get_forces() for atoms in cells],
    )


@job(data=[Blob])
def publish(blob: Blob) -> dict:
    return {"forcebase": "candidates", "frames": blob}


def test_the_job_says_the_same_as_the_function_with_frames_in_the_data_store(tmp_path, store):
    frames = candidates()
    recipe = Curation("cu", steps=(OneMethod(), LabelsPresent()), seed=5)
    published = publish(frames.to_blob())
    curated = CurateMaker(recipe=recipe).make(published.output)
    responses = run_locally(
        Flow([published, curated]), store=store, root_dir=tmp_path, ensure_success=True
    )
    output = responses[curated.uuid][1].output
    expected = curate(frames, recipe)
    assert output == expected | {"wall_time": output["wall_time"]}
    assert store.get_output(curated.uuid, load=True) == output
    # The frames themselves are in the additional store, not in the document.
    document = store.query_one({"uuid": published.uuid})
    assert "zlib_base64" not in document["output"]["frames"]


def test_a_maker_survives_the_road():
    maker = CurateMaker(recipe=Curation("cu", fractions=(0.7, 0.1, 0.2), e0s={"Cu": -3.5}))
    assert CurateMaker.from_dict(maker.as_dict()) == maker
