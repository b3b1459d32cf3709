import numpy as np
import pytest
import tensorflow as tf

from keras_cct.data.shard import Shard


def shards(count: int) -> list[Shard]:
    return [Shard(index, count) for index in range(count)]


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_both_images_of_a_pair_are_in_one_shard(count):
    rows = [shard.rows(12) for shard in shards(count)]
    assert sorted(np.concatenate(rows)) == list(range(12))
    for own in rows:
        np.testing.assert_array_equal(own + own[::-1], 11)


@pytest.mark.parametrize("count", [1, 2, 3, 6])
def test_the_order_of_a_batch_does_not_depend_on_the_number_of_processes(count):
    found = [shard.restore_pairs(tf.constant(shard.rows(12))) for shard in shards(count)]
    np.testing.assert_array_equal(tf.concat(found, 0), [0, 11, 1, 10, 2, 9, 3, 8, 4, 7, 5, 6])


def test_odd_shards_have_all_rows():
    found = [shard.restore_pairs(tf.constant(shard.rows(9))) for shard in shards(3)]
    np.testing.assert_array_equal(tf.concat(found, 0), [0, 8, 1, 7, 2, 6, 3, 5, 4])


@pytest.mark.parametrize("num_items", [1, 7, 8, 9, 16])
def test_consecutive_items_and_missing_ones_fill_all_batches(num_items):
    items = tf.data.Dataset.range(num_items).map(lambda number: (number,))
    found = [[int(number) for (number,) in shard.select_consecutive(items, 8)] for shard in shards(4)]
    assert sorted(number for own in found for number in own) == list(range(num_items))
    num_batches = -(-num_items // 8)
    for shard, own in zip(shards(4), found, strict=True):
        assert len(own) + shard.num_missing(num_items, 8) == 2 * num_batches
        assert all(number % 8 // 2 == shard.index for number in own)
