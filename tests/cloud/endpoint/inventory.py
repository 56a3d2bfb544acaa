"""Every resource that somebody made and nobody removed yet: what a test for leaks looks at."""

from moto.iam.models import iam_backends
from moto.s3.models import s3_backends

from .cloud import cloud, ec2_backends


def inventory():
    """Kind -> resources. Empty lists are left out, so a clean cloud is an empty dictionary."""
    found = {}
    for backend in ec2_backends():
        for kind, resources in _of_region(backend).items():
            for resource in resources:
                found.setdefault(kind, []).append({"region": backend.region_name, **resource})
    for _, _, backend in iam_backends.iter_backends():
        _add(found, "instance_profiles", [{"id": name} for name in _names(backend.instance_profiles)])
        _add(found, "roles", [{"id": name} for name in _names(backend.roles)])
    for _, _, backend in s3_backends.iter_backends():
        for bucket in list(backend.buckets.values()):
            _add(found, "objects", [{"id": f"{bucket.name}/{key}"} for key in list(bucket.keys)])
            _add(found, "uploads", [{"id": f"{bucket.name}/{upload}"} for upload in list(bucket.multiparts)])
            _add(found, "buckets", [{"id": bucket.name}])
    return found


def _add(found, kind, resources):
    if resources:
        found.setdefault(kind, []).extend(resources)


def _names(resources):
    return [resource.name for resource in list(resources.values())]


def _of_region(backend):
    own = lambda resource: resource.owner_id == backend.account_id
    groups = [group for groups in backend.groups.values() for group in groups.values() if group.name != "default"]
    return {
        "instances": [_instance(it) for it in backend.all_instances() if it.state != "terminated"],
        "images": [_image(it) for it in list(backend.amis.values()) if own(it)],
        "volumes": [_listed(it, state=it.status, size=it.size) for it in list(backend.volumes.values())],
        "snapshots": [
            _listed(it, state=it.status, size=it.volume_size, encrypted=it.encrypted, disk=it.disk and it.disk.path)
            for it in list(backend.snapshots.values())
            if own(it)
        ],
        "key_pairs": [_listed(it, name=it.key_name) for it in list(backend.key_pairs.values())],
        "security_groups": [_listed(it, name=it.name) for it in groups],
        "network_interfaces": [_listed(it) for it in list(backend.enis.values())],
        "addresses": [{"id": it.allocation_id, "tags": {}} for it in list(backend.addresses)],
        "launch_templates": [_listed(it, name=it.name) for it in list(backend.launch_templates.values())],
        "spot_requests": [_listed(it) for it in list(backend.spot_instance_requests.values()) if it.state == "active"],
        "tasks": [it.listed() for it in list(backend.tasks.values()) if it.active],
    }


def _listed(resource, **facts):
    return {"id": resource.id, **facts, "tags": {tag["key"]: tag["value"] for tag in resource.get_tags()}}


def _image(image):
    return _listed(
        image, name=image.name, state=image.state, snapshots=image.snapshot_ids,
        permissions=image.launch_permissions, deprecation=image.deprecation_time,
        protection=image.deregistration_protection,
    )  # fmt: skip


def _instance(instance):
    return _listed(
        instance, state=instance.state, type=instance.instance_type, image=instance.image_id,
        address=instance.address, ports=sorted(instance.reachable_ports()), password=instance.password,
        guest=instance.guest.pid if instance.guest else None, folder=f"{cloud.folder}/{instance.id}",
    )  # fmt: skip
