"""Movies files: titles, years, genres and embeddings."""

from pathlib import Path

import numpy as np
import pyarrow.parquet as pq

from mmctr_kit.data.contract import FILES
from mmctr_kit.datasets.movielens import convert
from mmctr_kit.datasets.movielens.movies import Movie, describe, read_movies_dat
from tests.datasets.movielens.made import FILMS, GENRES, N_ITEMS, make_source, write_recbole


def test_items_are_numbered_by_their_original_order_and_keep_title_and_tags(out: Path) -> None:
    feature = pq.read_table(out / "item_feature.parquet").to_pydict()
    info = pq.read_table(out / FILES["item_info"].path).to_pydict()
    assert feature["item_id"] == list(range(1, N_ITEMS + 1))
    assert info["item_id"] == list(range(N_ITEMS + 1))
    films = [FILMS[i] for i in sorted(FILMS)]
    assert feature["item_title"] == [f"{f.title} ({f.year})" for f in films]
    assert feature["item_tags"] == [[GENRES.index(g) + 1 for g in f.genres] for f in films]
    padded = [([0] * 5 + tags)[-5:] for tags in feature["item_tags"]]
    assert info["item_tags"] == [[0] * 5, *padded]


def test_films_without_titles_are_described_by_their_genres_and_notes_say_so(
    tmp_path: Path,
) -> None:
    source = make_source(tmp_path / "src", write_recbole)
    text = "item_id:token\tclass:token_seq\n"
    (source / "x.item").write_text(text + "".join(f"{i}\tDrama War\n" for i in range(3, 100, 3)))
    summary = convert(source, tmp_path / "out")
    feature = pq.read_table(tmp_path / "out" / "item_feature.parquet").to_pandas()
    lengths = np.linalg.norm(np.stack(feature["txt_emb_BERT"]), axis=1)
    np.testing.assert_allclose(lengths, np.repeat([1.0, 0.0], [33, N_ITEMS - 33]), atol=1e-5)
    assert any(f"{N_ITEMS} items have no title" in n for n in summary.notes)
    assert any("37 items have neither" in n for n in summary.notes)


def test_films_that_share_words_genres_or_a_decade_have_closer_embeddings() -> None:
    words = [Movie(f"w{i} v{i}", 1900 + 10 * (i % 9), ("Drama",)) for i in range(30)]
    films = [
        Movie("Star Wars", 1977, ("Sci-Fi",)),
        Movie("Star Trek", 1979, ("Sci-Fi",)),
        Movie("Emma", 1996, ("Romance",)),
    ]
    text = describe([*films, *words, None])["txt_emb_BERT"]
    near, far = text[0] @ text[1], text[0] @ text[2]
    assert near > far + 0.3
    same_words = describe([Movie("Dune", y, ("Sci-Fi",)) for y in (1984, 1981, 2021)])[
        "txt_emb_BERT"
    ]
    assert same_words[0] @ same_words[1] > same_words[0] @ same_words[2] + 0.1
    assert not text[-1].any()


def test_a_year_is_read_from_the_title_and_no_genre_is_no_tag(tmp_path: Path) -> None:
    text = "1::Land III (1995) (V)::unknown\n2::Seven::(no genres listed)\n3::2001::Sci-Fi|War\n"
    (tmp_path / "movies.dat").write_text(text)
    assert read_movies_dat(tmp_path / "movies.dat") == {
        "1": Movie("Land III", 1995, ()),
        "2": Movie("Seven", None, ()),
        "3": Movie("2001", None, ("Sci-Fi", "War")),
    }
