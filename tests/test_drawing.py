from __future__ import annotations

from qrnn_fast import Circuit, cells


def test_picture() -> None:
    c = Circuit(3)
    a = c.angle()
    c.rx(2 * a + 0.1, 0).crz(-a, 2, 0).u(1.23456, 0.0, a, 1).measure([1]).reset([1])
    assert c.draw() == "\n".join(
        [
            "q0 memory ─RX(2·a0+0.1)─RZ(-a0)─────────────────────",
            "q1 reset  ─────────────────│────U(1.23,0,a0)─M0─|0>─ bit 0",
            "q2 memory ─────────────────●────────────────────────",
        ]
    )


def test_every_op_is_in_the_picture() -> None:
    picture = cells.reuploading(4).draw()
    rows = picture.split("\n")
    assert len(rows) == 4
    assert all(f"a{slot})" in picture for slot in range(43))
    assert len({len(row.removesuffix(" bit 0").removesuffix(" bit 1")) for row in rows}) == 1
