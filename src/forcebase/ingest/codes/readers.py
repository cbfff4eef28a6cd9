"""The readers that come with forcebase, which its entry points name; each loads its parser."""

from __future__ import annotations

from pathlib import Path

from forcebase.ingest.codes.code_output import CodeOutput
from forcebase.ingest.codes.reader import CodeReader


def _vasprun(path: Path) -> CodeOutput:
    from forcebase.ingest.codes.vasp_output import read_vasprun

    return read_vasprun(path)


def _vaspout(path: Path) -> CodeOutput:
    from forcebase.ingest.codes.vasp_h5 import read_vaspout

    return read_vaspout(path)


def _outcar(path: Path) -> CodeOutput:
    from forcebase.ingest.codes.vasp_outcar import read_outcar

    return read_outcar(path)


def _pw_text(path: Path) -> CodeOutput:
    from forcebase.ingest.codes.espresso_output import read_pw_text

    return read_pw_text(path)


def _pw_xml(path: Path) -> CodeOutput:
    from forcebase.ingest.codes.espresso_output import read_pw_xml

    return read_pw_xml(path)


def _gpaw_text(path: Path) -> CodeOutput:
    from forcebase.ingest.codes.gpaw_output import read_gpaw_text

    return read_gpaw_text(path)


def _gpw(path: Path) -> CodeOutput:
    from forcebase.ingest.codes.gpaw_output import read_gpw

    return read_gpw(path)


def _cp2k(path: Path) -> CodeOutput:
    from forcebase.ingest.codes.cp2k_output import read_cp2k_text

    return read_cp2k_text(path)


def _aims(path: Path) -> CodeOutput:
    from forcebase.ingest.codes.aims_output import read_aims_text

    return read_aims_text(path)


def _abinit(path: Path) -> CodeOutput:
    from forcebase.ingest.codes.abinit_output import read_abinit_text

    return read_abinit_text(path)


VASPRUN = CodeReader(_vasprun, r"<modeling>", is_text=False, looks_beside_itself=True)
VASPOUT = CodeReader(_vaspout, is_text=False, looks_beside_itself=True)
OUTCAR = CodeReader(_outcar, r"\A\s*vasp\.\d", has_files_beside=True)
PW_TEXT = CodeReader(_pw_text, r"Program PWSCF v", has_files_beside=True)
PW_XML = CodeReader(_pw_xml, r"<qes:espresso", is_text=False, has_files_beside=True)
GPAW_TEXT = CodeReader(_gpaw_text, r"^ *\|__ ?\|[ |_/\\]{1,99}(?:- )? {0,9}\d+\.\d+")
GPW = CodeReader(_gpw, r"\A- of Ulmgpaw", is_text=False)
CP2K = CodeReader(_cp2k, r"CP2K\| version string", has_files_beside=True)
AIMS = CodeReader(_aims, r"Invoking FHI-aims|Reading geometry description geometry\.in")
ABINIT = CodeReader(_abinit, r"^\.Version +\S+ of ABINIT")
