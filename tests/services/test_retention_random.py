"""Random content and rules: a plan is what a slow and simple reading of the rules says, and a run is what its plan was."""

import random
import re
from fnmatch import fnmatchcase

import pytest

from registry.errors import RegistryError
from registry.repositories.rules import Scope
from registry.retention.decision import Fate
from registry.testing.images import artifact, image, index, layer
from tests.support.scale import hang_guard, scaled

HOUR, DAY = 3_600_000, 86_400_000
LIVES = {"1h": HOUR, "1d": DAY, "3d": 3 * DAY, "1w": 7 * DAY}
PATTERNS = ["*", "v*", "a*", "[a-c]*", "*-rc", "re:v[0-9]+", "re:.*[02468]", "sha256-*", "sha256:*[0-7]"]
NAMES = [f"{prefix}{number}" for prefix in ("v", "a", "b-", "z") for number in range(6)] + ["latest", "v1-rc"]


def patterns(chance):
    picked = chance.sample(PATTERNS, chance.randint(1, 2))
    if chance.random() < 0.6:
        return picked
    return {"include": picked, "exclude": chance.sample(PATTERNS, chance.randint(0, 1))}


def random_rule(chance):
    about = chance.choice(["tags", "tags", "untagged"])
    keep = {
        "last": lambda: chance.randint(1, 6),
        "younger_than": lambda: chance.choice(list(LIVES)),
        "pulled_within": lambda: chance.choice(list(LIVES)),
        "matching": lambda: patterns(chance),
        "always": lambda: True,
    }
    wanted = chance.choices(list(keep), weights=[5, 4, 4, 3, 1], k=chance.randint(1, 2))
    return {"for": about, "select": patterns(chance), "keep": {name: keep[name]() for name in wanted}}


def act(direct, chance, images, serial):
    """Do one thing that clients do."""
    kind = chance.choices(
        ["image", "index", "sign", "refer", "delete", "pull", "bare", "protect"], [8, 3, 5, 3, 3, 5, 3, 1]
    )[0]
    names = chance.sample(NAMES, chance.randint(1, 2))
    here = chance.choice(images) if images else None
    new = image(layer({"f": str(serial).encode()}))
    try:
        if kind == "image" or here is None:
            direct.push(new, *names)
        elif kind == "bare":
            direct.push(new)
        elif kind == "index":
            new = index(*{one.digest: one for one in (here, chance.choice(images))}.values())
            direct.push(new, *names[: chance.randint(0, 1)])
        elif kind == "sign":
            new = artifact("text/x", annotations={"of": here.digest})
            direct.push(new, here.digest.replace(":", "-") + chance.choice([".sig", ".att", ""]))
        elif kind == "refer":
            new = artifact("text/x", subject=here, annotations={"serial": str(serial)})
            direct.push(new, *names[: chance.randint(0, 1)])
        elif kind == "delete":
            direct.delete_tag(names[0]) if chance.random() < 0.7 else direct.delete_manifest(here)
        elif kind == "pull":
            direct.change(
                "UPDATE manifest SET last_pulled_at = :now WHERE digest = :digest AND deleted_at IS NULL",
                now=direct.clock.now,
                digest=here.digest,
            )
        else:
            direct.change("UPDATE tag SET immutable = NOT immutable WHERE name = :name AND current = 1", name=names[0])
    except RegistryError:
        return  # it was refused: a tag that is not there, or an immutable one
    if new.digest not in {one.digest for one in images}:
        images.append(new)


# The slow and simple reading


def fits(value, name):
    def one(pattern):
        if pattern.startswith("re:"):
            return re.fullmatch(pattern[3:], name)
        return fnmatchcase(name, pattern)

    given = value if isinstance(value, dict) else {"include": value, "exclude": []}
    return any(map(one, given["include"])) and not any(map(one, given["exclude"]))


def loses(rules, about, everything, name, now):
    """Tell whether rules remove `name` of `everything`, which gives (start, last pull) by name."""
    start, pulled = everything[name]
    covering = [rule for rule in rules if rule["for"] == about and fits(rule["select"], name)]
    for rule in covering:
        keep = rule["keep"]
        among = sorted(
            (one for one in everything if fits(rule["select"], one)), key=lambda one: (-everything[one][0], one)
        )
        if (
            "always" in keep
            or ("matching" in keep and fits(keep["matching"], name))
            or ("last" in keep and name in among[: keep["last"]])
            or ("younger_than" in keep and now - start < LIVES[keep["younger_than"]])
            or ("pulled_within" in keep and now - max(start, pulled or 0) < LIVES[keep["pulled_within"]])
        ):
            return False
    return bool(covering)


def reading(direct, rules):
    """Return the names of tags and the digests of manifests that rules remove."""
    now = direct.clock.now
    rows = {row.id: row for row in direct.rows("SELECT * FROM manifest")}
    ids = {row.digest: row.id for row in rows.values()}
    alive = {
        row.name: row
        for row in direct.rows(
            "SELECT * FROM tag WHERE current = 1 AND coalesce(lifetime_end_ms, :now + 1) > :now", now=now
        )
    }
    parents = [(row.manifest_id, ids[row.digest]) for row in direct.rows("SELECT * FROM manifest_child")]

    def subject(tag):
        said = re.fullmatch(r"sha256-([0-9a-f]{64})(\.sig|\.att|\.sbom)?", tag.name)
        digest = "sha256:" + said[1] if said else rows[tag.manifest_id].subject_digest
        return ids.get(digest) if digest != tag.digest else None

    made_for = {name: subject(tag) for name, tag in alive.items() if subject(tag) is not None}
    plain = {name: tag for name, tag in alive.items() if name not in made_for}
    facts = {name: (tag.lifetime_start_ms, rows[tag.manifest_id].last_pulled_at) for name, tag in plain.items()}
    gone = {name for name, tag in plain.items() if not tag.immutable and loses(rules, "tags", facts, name, now)}
    ends = {
        row.manifest_id: row.last
        for row in direct.rows("SELECT manifest_id, max(lifetime_end_ms) AS last FROM tag GROUP BY 1")
    }
    held = {tag.manifest_id for tag in alive.values()} | {child for _, child in parents}
    bare = {
        row.digest: (max(row.created_ms, ends.get(row.id) or 0), row.last_pulled_at)
        for row in rows.values()
        if row.deleted_at is None and row.id not in held and row.subject_digest not in ids
    }
    deleted = {
        digest
        for digest in bare
        if rows[ids[digest]].lease_until <= now and loses(rules, "untagged", bare, digest, now)
    }

    def kept(without, tags):
        """Return what is held once some untagged manifests and all but some tags are gone."""
        edges = parents + [(ids[row.subject_digest], row.id) for row in rows.values() if row.subject_digest in ids]
        edges += [(made_for[name], alive[name].manifest_id) for name in made_for]
        found = {alive[name].manifest_id for name in tags}
        found |= {row.id for row in rows.values() if row.untagged_pin and row.digest not in without}
        while True:
            found = {one for one in found if rows[one].deleted_at is None}
            more = {low for high, low in edges if high in found and rows[low].deleted_at is None} - found
            if not more:
                return found
            found |= more

    before = kept(set(), plain)
    free = {name for name in made_for if alive[name].immutable or made_for[name] not in before}
    after = kept(deleted, (plain.keys() - gone) | free)
    going = {
        name
        for name in made_for
        if not alive[name].immutable
        and (rows[made_for[name]].digest in deleted or (made_for[name] in before and made_for[name] not in after))
    }
    return gone | going, deleted


@pytest.mark.parametrize(
    "rounds",
    [
        12,
        pytest.param(
            scaled(200, minimum=40),
            marks=[pytest.mark.needs_tools, pytest.mark.soak, pytest.mark.timeout(hang_guard(1800))],
        ),
    ],
)
def test_what_happens_is_what_the_plan_named_and_what_the_rules_say(direct, rounds, figure):
    chance, images, removed, skipped = random.Random(rounds), [], 0, 0
    service = direct.services.retention
    for turn in range(rounds):
        for step in range(20):
            act(direct, chance, images, 100 * turn + step)
            direct.clock.turn(ms=chance.randrange(4 * HOUR))
        direct.clock.turn(ms=chance.choice([0, DAY, 2 * DAY]))
        rules = [random_rule(chance) for _ in range(chance.randint(1, 3))]
        direct.change("DELETE FROM rule")
        for number, rule in enumerate(rules):
            direct.services.rules.create(direct.actor, f"rule-{number}", "retention", Scope(), rule)
        plan = service.plan(direct.actor, direct.repository)
        page = service.entries(direct.actor, direct.repository, plan.id, limit=10_000, fate=Fate.REMOVE)
        named = {entry.name for _, entry in page.items if entry.kind == "tag"}
        bare = {entry.digest for _, entry in page.items if entry.kind == "manifest"}
        assert (named, bare) == reading(direct, rules), rules
        tags, manifests = set(direct.tags()), digests(direct)
        direct.clock.turn(ms=chance.choice([0, 1, HOUR]))
        tags &= set(direct.tags())  # what lapsed meanwhile is gone by itself
        result = service.run(direct.actor, direct.repository, plan.id)
        assert set(direct.tags()) == tags - named
        assert digests(direct) == manifests - bare
        removed += len(named) + len(bare)
        skipped += result.skips
    assert removed
    assert not skipped
    figure(f"{rounds} random sets of rules: {removed} removed, each as planned and as read; 0 differences")


def digests(direct):
    return set(direct.column("SELECT digest FROM manifest WHERE deleted_at IS NULL"))
