"""The one live feed of a page: what is asked for, and that nothing is lost when it breaks off or rests."""

from __future__ import annotations

import pytest

from tests.web.typescript import evaluate, needs_web_packages

pytestmark = needs_web_packages

_STAGE = """
  const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
  const opened = [];
  let clock = 0;
  const open = async function* (filters, { lastEventId, signal }) {
    const ended = new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
    ended.catch(() => {});
    const waiting = [];
    let wake = () => {};
    const stream = { kinds: filters.kinds.join(), from: lastEventId ?? null, isOpen: true };
    stream.tell = (event) => { waiting.push(event); wake(); };
    opened.push(stream);
    try {
      for (;;) {
        while (waiting.length) yield waiting.shift();
        await Promise.race([ended, new Promise((resolve) => { wake = resolve; })]);
      }
    } finally {
      stream.isOpen = false;
    }
  };
  const feed = new web.Feed(open, () => clock);
  const asked = () => opened.map(({ kinds, from, isOpen }) => [kinds, from, isOpen]);
"""


def staged(steps: str) -> object:
    return evaluate("shell/stream.ts", f"(async () => {{ {_STAGE} {steps} }})()")


def test_one_stream_serves_all_and_goes_on_where_it_was_when_somebody_wants_more() -> None:
    told = staged("""
      const heard = [];
      feed.follow(["batch"], ({ id }) => heard.push(`first ${id}`));
      feed.follow(["batch"], ({ id }) => heard.push(`second ${id}`));
      await settled();
      opened[0].tell({ id: "7.1", kind: "batch", data: {} });
      await settled();
      const stop = feed.follow(["proof_finalised"], ({ id }) => heard.push(`third ${id}`));
      await settled();
      opened[1].tell({ id: "8.0", kind: "proof_finalised", data: {} });
      await settled();
      stop();
      await settled();
      return { asked: asked(), heard, state: feed.state };
    """)
    assert told == {
        "asked": [["batch", None, False], ["batch,proof_finalised", "7.1", True]],
        "heard": ["first 7.1", "second 7.1", "third 8.0"],
        "state": "live",
    }


def test_nobody_who_listens_means_no_stream() -> None:
    told = staged("""
      const stop = feed.follow(["batch"], () => {});
      await settled();
      stop();
      await settled();
      return { asked: asked(), state: feed.state };
    """)
    assert told == {"asked": [["batch", None, False]], "state": "rest"}


@pytest.mark.parametrize(("rest_ms", "from_id", "gaps"), [(60_000, "7.1", 0), (3_600_000, None, 1)])
def test_after_a_rest_it_catches_up_but_not_with_an_hour(rest_ms: int, from_id: str | None, gaps: int) -> None:
    told = staged(f"""
      let gaps = 0;
      feed.follow(["batch"], ({{ kind }}) => {{ gaps += kind === "gap"; }});
      await settled();
      opened[0].tell({{ id: "7.1", kind: "batch", data: {{}} }});
      await settled();
      feed.rest();
      await settled();
      clock += {rest_ms};
      feed.resume();
      await settled();
      return {{ asked: asked(), gaps }};
    """)
    assert told == {"asked": [["batch", None, False], ["batch", from_id, True]], "gaps": gaps}


def test_who_listens_learns_that_no_node_gives_the_feed() -> None:
    told = evaluate(
        "shell/stream.ts",
        """(async () => {
          const feed = new web.Feed(async function* () { throw new web.step.StepError("NO_ANSWER", "gone"); });
          const states = [];
          feed.watchers.add(() => states.push(feed.state));
          const stop = feed.follow(["batch"], () => {});
          await new Promise((resolve) => setTimeout(resolve, 20));
          stop();
          await new Promise((resolve) => setTimeout(resolve, 20));
          return states;
        })()""",
    )
    assert told == ["waiting", "lost", "rest"]


def test_it_is_live_as_long_as_a_stream_is_open_whether_or_not_anything_happens() -> None:
    told = evaluate(
        "shell/stream.ts",
        """(async () => {
          let link;
          const feed = new web.Feed(async function* (_, { onLink, signal }) {
            link = onLink;
            await new Promise((_, reject) => signal.addEventListener("abort", () => reject(signal.reason)));
          });
          const states = [];
          feed.watchers.add(() => states.push(feed.state));
          const stop = feed.follow(["batch"], () => {});
          await new Promise((resolve) => setTimeout(resolve, 20));
          for (const isOpen of [true, false, true]) link(isOpen);
          stop();
          await new Promise((resolve) => setTimeout(resolve, 20));
          link(false);  // Of a stream that nobody wants any more.
          return states;
        })()""",
    )
    assert told == ["waiting", "live", "lost", "live", "rest"]


@pytest.mark.parametrize(("break_ms", "asked"), [(60_000, [[None]]), (3_600_000, [[None], [None]])])
def test_after_a_long_break_it_begins_anew_and_says_that_something_is_missing(
    break_ms: int, asked: list[list[str | None]]
) -> None:
    told = evaluate(
        "shell/stream.ts",
        f"""(async () => {{
          const settled = () => new Promise((resolve) => setTimeout(resolve, 5));
          let clock = 0;
          let link;
          const asked = [];
          const feed = new web.Feed(async function* (filters, {{ lastEventId, signal, onLink }}) {{
            asked.push([lastEventId ?? null]);
            link = onLink;
            onLink(true);
            if (asked.length === 1) yield {{ id: "7.1", kind: "batch", data: {{}} }};
            await new Promise((resolve) => signal.addEventListener("abort", resolve));
          }}, () => clock);
          const heard = [];
          const stop = feed.follow(["batch"], ({{ kind }}) => heard.push(kind));
          await settled();
          link(false);
          clock += {break_ms};
          link(true);
          await settled();
          stop();
          return {{ asked, heard }};
        }})()""",
    )
    assert told == {"asked": asked, "heard": ["batch", "gap"][: len(asked)]}
