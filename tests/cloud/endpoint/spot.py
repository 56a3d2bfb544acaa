"""The request behind a spot instance: one-time, as builders make them, and closed with its instance."""

from moto.core.utils import utcnow
from moto.ec2.exceptions import EC2ClientError
from moto.ec2.models.core import TaggedEC2Resource
from moto.ec2.utils import random_spot_request_id


class SpotRequest(TaggedEC2Resource):
    type = "one-time"
    product_description = "Linux/UNIX"
    instance_interruption_behavior = "terminate"

    def __init__(self, backend, instance, options, tags):
        self.ec2_backend, self.instance = backend, instance
        self.id = random_spot_request_id()
        self.spot_price = options.get("MaxPrice")
        self.create_time = utcnow()
        self.cancelled = False
        self.add_tags(tags)
        backend.spot_instance_requests[self.id] = self

    @property
    def instance_id(self):
        return self.instance.id

    @property
    def state(self):
        if self.cancelled:
            return "cancelled"
        return "closed" if self.instance.state in ("shutting-down", "terminated") else "active"

    @property
    def status(self):
        code = {"active": "fulfilled", "closed": "instance-terminated-by-user"}.get(
            self.state, "request-canceled-and-instance-running"
        )
        return {"Code": code, "Message": "", "UpdateTime": utcnow()}

    @property
    def launch_specification(self):
        return {
            "ImageId": self.instance.image_id,
            "InstanceType": self.instance.instance_type,
            "KeyName": self.instance.key_name,
            "SubnetId": self.instance.subnet_id,
        }


class SpotBackend:
    """Mixed into moto's backend, before its classes."""

    def describe_spot_instance_requests(self, filters=None, spot_instance_ids=None):
        for request_id in spot_instance_ids or []:
            self._spot_request(request_id)
        return super().describe_spot_instance_requests(filters, spot_instance_ids)

    def cancel_spot_instance_requests(self, request_ids):
        """The instance of a cancelled request goes on."""
        requests = [self._spot_request(request_id) for request_id in request_ids]
        for request in requests:
            request.cancelled = True
        return requests

    def _spot_request(self, request_id):
        if request_id not in self.spot_instance_requests:
            raise EC2ClientError(
                "InvalidSpotInstanceRequestID.NotFound", f"The spot instance request ID '{request_id}' does not exist"
            )
        return self.spot_instance_requests[request_id]

    def request_spot_instances(self, *_, **__):
        raise EC2ClientError(
            "UnsupportedOperation", "This endpoint makes spot instances by RunInstances and by instant fleets."
        )
