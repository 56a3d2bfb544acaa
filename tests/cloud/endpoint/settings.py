"""What a test may change while the endpoint runs."""

from dataclasses import asdict, dataclass, field, fields


@dataclass
class Settings:
    # Seconds that a resource stays in its pending state.
    launch: float = 0.2
    stop: float = 0.0
    terminate: float = 0.2
    image: float = 0.5
    snapshot: float = 0.3
    volume: float = 0.1
    task: float = 0.3
    password: float = 0.5
    # Seconds by which new images look older than they are.
    image_age: float = 0.0
    # Seconds for which a new resource's id is answered with NotFound.
    consistency: float = 0.0
    # Seconds that a guest has to power itself off before it loses its power.
    stop_deadline: float = 300.0

    # Instance types without capacity ("*": all of them).
    no_capacity: list = field(default_factory=list)
    # Non-empty: new instances, images or snapshots fail with this state reason ("Code: message"), tasks with this
    # message.
    launch_fails: str = ""
    image_fails: str = ""
    snapshot_fails: str = ""
    task_fails: str = ""
    # Words that the tiny guest finds in its SMBIOS serial number, such as "nosshd".
    guest_traits: str = ""
    # New guests never execute an instruction.
    guest_hangs: bool = False

    # EBS direct: puts a second and snapshot beyond which a put is throttled, and pending snapshots an account
    # may have; 0 is no limit.
    puts_per_second: int = 0
    pending_snapshots: int = 100

    def update(self, values: dict) -> None:
        """Takes what is named; ValueError names what is no setting or of the wrong type."""
        types = {setting.name: setting.type for setting in fields(self)}
        for name, value in values.items():
            if name not in types:
                raise ValueError(f"no setting is called {name}; there are: {', '.join(types)}")
            if types[name] is float and isinstance(value, int):
                value = float(value)
            if not isinstance(value, types[name]):
                raise ValueError(f"{name} has to be of type {types[name].__name__}, not {value!r}")
            setattr(self, name, value)

    def as_dict(self) -> dict:
        return asdict(self)
