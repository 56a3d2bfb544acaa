"""Puts our classes where moto looks for its own. To be imported before moto's server makes its applications."""

import os

os.environ["MOTO_EC2_LOAD_DEFAULT_AMIS"] = "false"  # the only images are those that have a disk

from moto.ec2 import models, urls
from moto.ec2.models import elastic_block_store, instances
from moto.ec2.responses import EC2Response

from .image_actions import ImageActions
from .images import ImageBackend
from .instance_actions import InstanceActions
from .instances import Instance
from .launch import LaunchBackend
from .task_actions import TaskActions, TaskBackend
from .volumes import Snapshot, Volume, VolumeActions, VolumeBackend


class Ec2Backend(LaunchBackend, ImageBackend, VolumeBackend, TaskBackend, models.EC2Backend):
    @property
    def _url_module(self):
        return urls  # moto would look for it next to this class

    def authorize_security_group_ingress(self, *arguments, **options):
        done = super().authorize_security_group_ingress(*arguments, **options)
        self._follow_rules()
        return done

    def revoke_security_group_ingress(self, *arguments, **options):
        super().revoke_security_group_ingress(*arguments, **options)
        self._follow_rules()

    def _follow_rules(self):
        for instance in self.all_instances():
            instance.follow_rules()


class Ec2Actions(InstanceActions, ImageActions, VolumeActions, TaskActions, EC2Response):
    pass


def install():
    models.ec2_backends.backend = Ec2Backend
    instances.Instance = Instance
    elastic_block_store.Volume = Volume
    elastic_block_store.Snapshot = Snapshot
    urls.url_paths["{0}/"] = Ec2Actions.dispatch
