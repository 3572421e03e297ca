"""Plans that give images names and take names away: one write of repositories.json each.

The engine also notes the time of a tag in the image's metadata (``lastUpdated``,
from 17.12). Orlop leaves that key alone: a plan is the same for the same state,
and the engine takes a missing or older time as it is.
"""

from orlop import reference
from orlop.docker import layout
from orlop.docker.model import ConfigState, Image, Model
from orlop.docker.tagmap import TagMap, by_digest, refusal_of_bad_file
from orlop.errors import Malformed, NotFound
from orlop.intent import Tag, Untag
from orlop.plan import Plan, Reason, Refusal
from orlop.records import StoreId


def plan_tag(model: Model, identity: StoreId, intent: Tag) -> Plan | Refusal:
    """Give an image a name; without a tag in the name it is ``latest``; a tag that exists moves.

    Raises:
        NotFound: the store knows nothing of the image.
        Malformed: the name does not parse.
    """
    image = model.images.get(intent.image)
    if image is None:
        raise NotFound(f"no image {intent.image} is in the store")
    wanted = reference.parse(intent.name)
    action = f"tag {short(image.id)} as {intent.name}"
    obstacles = [*_unfit_name(wanted), *_unfit_image(model, image)]
    if obstacles:
        return Refusal(action=action, reasons=tuple(obstacles))
    bad = refusal_of_bad_file(model, action)
    if bad is not None:
        return bad
    wanted = reference.with_default_tag(wanted)
    return _tagged(model, identity, intent, wanted.repository, wanted.familiar)


def _tagged(model: Model, identity: StoreId, intent: Tag, repository: str, name: str) -> Plan:
    tags = TagMap(model)
    old = tags.get(repository, name)
    if old == intent.image:
        already = Reason(verb="keep", subject=name, because=f"it names {intent.image} already")
        return _plan(identity, intent, f"tag {short(old)} as {name}", None, (already,), ())
    because = f"for {intent.image}" if old is None else f"moves from {old} to {intent.image}"
    tags.put(repository, name, intent.image)
    action = f"move the tag {name}" if old is not None else f"tag {short(intent.image)} as {name}"
    reasons = [Reason(verb="tag", subject=name, because=because)]
    images = {intent.image}
    if old is not None and old in model.images:
        images.add(old)
        if model.names_of.get(old, ()) == (name,):
            reasons.append(Reason(verb="keep", subject=f"image {old}", because="it stays without a name"))
    return _plan(identity, intent, action, tags, tuple(reasons), tuple(sorted(images)))


def plan_untag(model: Model, identity: StoreId, intent: Untag) -> Plan | Refusal:
    """Take exactly these names away; images and layers stay, even with the last name.

    Names are as listed, odd ones too, or any spelling that means a listed one.

    Raises:
        NotFound: a name is not listed.
        Malformed: a text is neither listed nor a name.
    """
    bad = refusal_of_bad_file(model, "untag " + _counted(intent.names))
    if bad is not None:
        return bad
    names = sorted({listed(model, name) for name in intent.names})
    tags = TagMap(model)
    reasons: list[Reason] = []
    for name in names:
        image = model.tags.references[name].image
        tags.take(name, image)
        reasons.append(Reason(verb="untag", subject=name, because=f"names {image}"))
    images = sorted({model.tags.references[name].image for name in names})
    gone = set(names)
    for image in images:
        if image in model.images and model.images[image].config is not ConfigState.MISSING:
            if gone.issuperset(model.names_of.get(image, ())):
                reasons.append(Reason(verb="keep", subject=f"image {image}", because="it stays without a name"))
        else:
            reasons.append(Reason(verb="note", subject=f"image {image}", because="it is not in the store"))
    action = "untag " + _counted(names)
    return _plan(identity, intent, action, tags if names else None, tuple(reasons), tuple(images))


def listed(model: Model, text: str) -> str:
    """The name in repositories.json that a text means: that very key, or what it is short or long for.

    A text without tag and digest means ``latest``; one with both means its digest, as for the engine from 17.

    Raises:
        NotFound: no such name is listed.
        Malformed: the text is neither listed nor a name.
    """
    references = model.tags.references
    if text in references:
        return text
    name = reference.with_default_tag(reference.parse(text)).familiar
    if name in references:
        return name
    raise NotFound(f"nothing is named {name}", path=layout.tag_file(model.driver), do="`orlop ls PATH` lists the names")


def short(image: str) -> str:
    """An image id for a headline: the algorithm and twelve digits."""
    return image[:19]


def _unfit_name(wanted: reference.Reference) -> list[str]:
    """The engine's own refusals, in its words (moby: reference/store.go, AddTag and addReference)."""
    if wanted.digest is not None:
        return ["refusing to create a tag with a digest reference"]
    try:
        reference.check_new(wanted)
    except Malformed as error:
        return [error.engine]
    return []


def _unfit_image(model: Model, image: Image) -> list[str]:
    """Why the engine would not have this image at its next start."""
    if image.config is not ConfigState.GOOD:
        return [f"the config of {image.id} is {image.config}: {image.why}"]
    for chain_id in reversed(image.chain):
        broken = model.broken_chain.get(chain_id)
        if broken is not None:
            return [f"{image.id} needs layer {broken}, whose record the engine cannot load"]
        if chain_id not in model.layers:
            return [f"{image.id} needs layer {chain_id}, which is not in the store"]
    return []


def _counted(names: "tuple[str, ...] | list[str]") -> str:
    if len(names) == 1:
        return names[0]
    digests = sum(by_digest(name) for name in names)
    return f"{len(names)} names" if digests else f"{len(names)} tags"


def _plan(
    identity: StoreId,
    intent: Tag | Untag,
    action: str,
    tags: TagMap | None,
    reasons: tuple[Reason, ...],
    images: tuple[str, ...],
) -> Plan:
    return Plan(
        action=action,
        kind=identity.kind,
        store=identity.token,
        intent=intent,
        steps=() if tags is None else (tags.step(),),
        reasons=reasons if tags is None else reasons + tags.remarks(),
        images=images,
        bytes_now=0,
        bytes_freed=0,
        bytes_kept=0,
        weighty=tags is not None and bool(tags.without_tags),
    )
