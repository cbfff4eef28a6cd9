"""Settings of codes that leave energies, forces and stresses as they are, once they converged.

A setting that stands in no list tells methods apart: better two methods that are one, which
`forcebase method equate` repairs, than one that is two. Names are in lower case; * is any text.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import cache


@dataclass(frozen=True)
class Group:
    """Settings that are harmless for one reason."""

    reason: str
    names: str

    def pattern(self) -> str:
        """One regular expression for all of them."""
        return "|".join(re.escape(name).replace(r"\*", ".*") for name in self.names.split())


NAMES = "names, titles and places of files"
OUTPUT = "what is written, and how much of it"
PARALLEL = "how the work is shared out"
IONS = "which geometries come next; labels belong to each"
START = "where a self-consistent run starts"
ALGORITHM = "ways to the same self-consistent answer"
CONVERGENCE = "criteria of convergence: they stand with the calculation"
SYMMETRY = "symmetries of the same cell: fewer k-points for the same integral"
CALCULATION = "what stands with the calculation: k-points, charge, moments, U"
ANALYSIS = "what is worked out from the converged state"

HARMLESS: dict[str, tuple[Group, ...]] = {
    "vasp": (
        Group(
            NAMES,
            "system",
        ),
        Group(
            OUTPUT,
            "nwrite lwave lcharg lvtot lvhar lelf laechg lorbit nedos emin emax efermi rwigs "
            "lpard lpart nbmod eint iband kpuse lsepb lsepk loptics npaco apaco stm lwap "
            "lwannier90* lwrite_* lh5 lwaveh5 lchargh5 lkpoints_opt lvacpotav lorbmom "
            "lprojected lfermigw lphon_dispersion phon_* lnabla lvel cshift omegamax "
            "ldownsample lbone lwrt_nlm idiot stop* lmusic velocity ctifor lhyperfine "
            "ngyromag quad_efg lefg lberry lcalcpol ldipol_*",
        ),
        Group(
            PARALLEL,
            "npar ncore kpar nsim lplane lscalu lscalapack lscaaware lasync nblk lmpi* "
            "ncshmem ncore_in_image* lusencclh luse_* ntaupar nomegapar maxmem lgpu*",
        ),
        Group(
            IONS,
            "ibrion nsw isif potim ediffg nfree smass tebeg teend mdalgo langevin_* pmass "
            "andersen_* csvr_period nhc_* nblock kblock iopt maxmove timestep ilbfgsmem "
            "lglobal lautoscale invcurv llineopt fdstep ftimemax ftimedec ftimeinc falpha "
            "fnmin snl sdrot lbluout pomass scalee random_seed iwavpr pstress isym_md smooth* "
            "lineopt lcorr hills_* shakemaxiter shaketol increm value_* lattice_constraints "
            "nelm_* darwin* lattice* phon_nstruct tein",
        ),
        Group(
            "steps that VASP's own force field predicted are left out",
            "ml_*",
        ),
        Group(
            START,
            "istart icharg iniwav magatom inimix mixfirst lrestart*",
        ),
        Group(
            ALGORITHM,
            "algo ialgo nelmin nelmdl nelm amix bmix amin amix_mag bmix_mag imix mixpre "
            "maxmix lmixtau wc mremove ldiag lsubrot weimin ebreak deper nrmm time turbo irestart "
            "nreboot nmin eref enini lmaxmix nbands nbandslow nbandshigh lfockace "
            "lorbitalreal lreal_compat nelmall nstorb kblowup",
        ),
        Group(
            CONVERGENCE,
            "ediff",
        ),
        Group(
            SYMMETRY,
            "isym symprec lsymgrad",
        ),
        Group(
            CALCULATION,
            "kspacing kgamma nelect magmom nupdown ldauu ldauj ldaul ldauprint",
        ),
        Group(
            "the centre of a dipole correction follows the cell",
            "dipol",
        ),
        Group(
            ANALYSIS,
            "lepsilon lrpa leltstrain dfield lnicsall magpos magdipol aveconst avecconst "
            "orbitalmag lchimag lmagbloch lgauge nucind dq deg_threshold rtime wplasma* "
            "linterfast kinter lnonloc* lpead ipead skip_edotp lopticaltensor lmono_*",
        ),
        Group(
            "told by the basis",
            "enmax encut",
        ),
    ),
    "quantum espresso": (
        Group(
            NAMES,
            "title prefix outdir pseudo_dir wfcdir lkpoint_dir restart_mode calculation nat "
            "ntyp ibrav celldm* a b c cosab cosac cosbc space_group uniqueb origin_choice "
            "rhombohedral",
        ),
        Group(
            OUTPUT,
            "verbosity disk_io iprint wf_collect tstress tprnfor max_seconds stress forces "
            "print_every lberry gdir nppstr report trism twochem",
        ),
        Group(
            IONS,
            "nstep dt etot_conv_thr forc_conv_thr press_conv_thr press press_conv_thr ion_* "
            "cell_* wmass upscale bfgs_ndim trust_radius_* w_1 w_2 pot_extrapolation "
            "wfc_extrapolation remove_rigid_rot tempw tolp delta_t nraise refold_pos fire_* "
            "tefield_*",
        ),
        Group(
            START,
            "startingwfc startingpot",
        ),
        Group(
            ALGORITHM,
            "diagonalization mixing_* electron_maxstep scf_must_converge diago_* max_nstep "
            "real_space_q real_space_beta tq_smoothing tbeta_smoothing adaptive_thr "
            "conv_thr_init conv_thr_multi nbnd efield_phase exx_maxstep rmm_* ndim",
        ),
        Group(
            CONVERGENCE,
            "conv_thr",
        ),
        Group(
            SYMMETRY,
            "nosym nosym_evc noinv no_t_rev force_symmorphic use_all_frac nat_todo "
            "one_atom_occupations_",
        ),
        Group(
            CALCULATION,
            "tot_charge starting_magnetization* tot_magnetization starting_charge* "
            "hubbard_u* hubbard_j* hubbard_alpha* hubbard_beta* hubbard_l* hubbard_n* "
            "hubbard_occ*",
        ),
    ),
    "abinit": (
        Group(
            NAMES,
            "acell amu rprim xred xcart xangst natom ntypat typat znucl spgroup symrel tnons "
            "nsym symafm chkprim angdeg scalecart jdtset ndtset *_dirpath pseudos "
            "outdata_prefix indata_prefix tmpdata_prefix genafm spgorig spgaxor spgroupma "
            "brvltt natrd nobj",
        ),
        Group(
            OUTPUT,
            "prt* optforces optstress enunit timopt iomode* accesswff ddb* bandpp_*",
        ),
        Group(
            PARALLEL,
            "np* paral_* max_ncpus autoparal mkmem mk1mem mkqmem mem_test fftalg ngfft* "
            "istwfk use_gemm_nonlop max_nthreads mpw nloc_mem mffmem wfoptalg fft_opt_lob "
            "wvl_*",
        ),
        Group(
            IONS,
            "ionmov optcell ntime tolmxf tolmxde strtarget strfact strprecon dtion "
            "ecutsm_ mdtemp mdwall noseinert vis iatfix* natfix* vel bmass qmass restartxf "
            "geoopt moldyn",
        ),
        Group(
            START,
            "irdwfk irdden getwfk getden getddk getden_filepath getwfk_filepath iprcel*",
        ),
        Group(
            ALGORITHM,
            "iscf nstep nline diemac diecut diegap dielam diemix diemixmag iprcch npulayit "
            "nnsclo densfor_pred nbdblock nbdbuf nband occ tolrde ortalg bandpp chebfi_* "
            "rmm_diis*",
        ),
        Group(
            CONVERGENCE,
            "tol*",
        ),
        Group(
            SYMMETRY,
            "symmorphi tolsym symsigma chksymbreak chksymtnons kptopt maxnsym wtk",
        ),
        Group(
            CALCULATION,
            "ngkpt nshiftk shiftk kptrlatt kptrlen kpt kptnrm nkpt kptbounds charge "
            "cellcharge spinat nelect spinmagntarget upawu jpawu lpawu f4of2_sla f6of2_sla",
        ),
    ),
    "fhi-aims": (
        Group(
            OUTPUT,
            "output* verbatim_writeout write_* compute_forces compute_analytical_stress "
            "compute_numerical_stress final_forces_cleaned",
        ),
        Group(
            PARALLEL,
            "ks_method elsi_* use_local_index load_balancing collect_eigenvectors "
            "density_update_method use_dmat* walltime packed_matrix_format prune_basis_once "
            "restart* elpa* use_elpa*",
        ),
        Group(
            IONS,
            "relax_geometry relax_unit_cell md_* geometry_* max_relaxation_steps "
            "restart_relaxations hessian_* trust_radius* stress_for_relaxation "
            "external_pressure_ energy_tolerance harmonic_length_scale max_atomic_move "
            "min_line_step line_step_reduce init_hess",
        ),
        Group(
            ALGORITHM,
            "mixer n_max_pulay charge_mix_param ini_linear_mixing* sc_iter_limit sc_init_* "
            "preconditioner precondition_* empty_states max_lin_dep scf_* "
            "override_illconditioning adjust_scf sc_abandon_etot check_stacksize",
        ),
        Group(
            CONVERGENCE,
            "sc_accuracy_*",
        ),
        Group(
            SYMMETRY,
            "symmetry_reduced_k_grid* sym_precision symmetry_* use_symmetric_forces",
        ),
        Group(
            CALCULATION,
            "k_grid k_offset k_grid_density charge default_initial_moment fixed_spin_moment plus_u",
        ),
    ),
    "gpaw": (
        Group(
            OUTPUT,
            "txt verbose",
        ),
        Group(
            PARALLEL,
            "parallel parallelization kpt_parallel",
        ),
        Group(
            START,
            "random",
        ),
        Group(
            ALGORITHM,
            "eigensolver maxiter mixer nbands experimental_ reuse_wfs_method idiotproof",
        ),
        Group(
            CONVERGENCE,
            "convergence",
        ),
        Group(
            SYMMETRY,
            "symmetry usesymm",
        ),
        Group(
            CALCULATION,
            "kpts charge magmoms spinpol hund",
        ),
    ),
    "cp2k": (
        Group(
            PARALLEL,
            "force_eval/dft/xc/hf/memory/* force_eval/dft/xc/hf/load_balance/*",
        ),
        Group(
            NAMES,
            "global/* force_eval/subsys/* force_eval/dft/basis_set_file_name motion/* "
            "ext_restart/* force_eval/dft/potential_file_name force_eval/method "
            "force_eval/stress_tensor debug/* force_eval/dft/wfn_restart_file_name "
            "force_eval/dft/sort_basis multiple_force_evals/* "
            "force_eval/dft/xc/vdw_potential/*/parameter_file_name",
        ),
        Group(
            OUTPUT,
            "*/print/* force_eval/print/*",
        ),
        Group(
            ALGORITHM,
            "force_eval/dft/scf/max_scf force_eval/dft/scf/max_scf_history "
            "force_eval/dft/scf/ot* force_eval/dft/scf/outer_scf* force_eval/dft/scf/mixing* "
            "force_eval/dft/scf/diag* force_eval/dft/scf/scf_guess "
            "force_eval/dft/scf/added_mos force_eval/dft/scf/cholesky "
            "force_eval/dft/scf/max_diis force_eval/dft/scf/eps_diis "
            "force_eval/dft/scf/level_shift force_eval/dft/scf/ignore_convergence_failure "
            "force_eval/dft/qs/extrapolation* force_eval/dft/scf force_eval/dft "
            "force_eval/dft/qs force_eval force_eval/dft/xc force_eval/dft/mgrid "
            "force_eval/dft/kpoints force_eval/dft/qs/map_consistent",
        ),
        Group(
            CONVERGENCE,
            "force_eval/dft/scf/eps_scf",
        ),
        Group(
            CALCULATION,
            "force_eval/dft/kpoints/* force_eval/dft/charge force_eval/dft/multiplicity "
            "force_eval/dft/uks force_eval/dft/lsd force_eval/dft/spin_polarized",
        ),
        Group(
            "told by other rules of the method",
            "force_eval/dft/mgrid/cutoff force_eval/dft/mgrid/rel_cutoff "
            "force_eval/dft/qs/method force_eval/dft/scf/smear* force_eval/dft/plus_u_method "
            "force_eval/dft/xc/xc_functional",
        ),
    ),
}


@cache
def _pattern(code: str) -> re.Pattern[str]:
    return re.compile("|".join(group.pattern() for group in HARMLESS.get(code, ())) or r"(?!)")


def is_harmless(code: str, name: str) -> bool:
    """Whether a setting is in a list of those that change no label."""
    return _pattern(code).fullmatch(name.lower()) is not None
