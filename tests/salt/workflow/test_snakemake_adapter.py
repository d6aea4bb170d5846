from salt.workflow.snakemake_adapter import size


def test_a_folder_is_as_large_as_all_its_files(tmp_path):
    (tmp_path / "a" / "b").mkdir(parents=True)
    (tmp_path / "a" / "one").write_bytes(b"123")
    (tmp_path / "a" / "b" / "two").write_bytes(b"45")
    assert size(tmp_path / "a") == 5
    assert size(tmp_path / "a" / "one") == 3
    assert size(tmp_path / "nothing") == 0
