"""What a simulated gateway hears on sequencers' liveness links, as `runtime/inlet.py` does in the process."""

from lockstep.gateway.driver import GatewayDriver
from lockstep.trials.simulation.host import Host, hears
from lockstep.trials.simulation.sequencer_host import SequencerHost


def hear_sequencers(host: Host, driver: GatewayDriver) -> None:
    """Each says in which epoch it is, whether it leads, and which loss an operator accepted last."""
    accepted = 0
    for sequencer in host.world.of_kind("sequencer"):
        if not hears(host, sequencer):
            continue
        assert isinstance(sequencer, SequencerHost)
        epoch = sequencer.status_epoch()
        driver.on_said(sequencer.id, epoch, sequencer.leads)
        config = sequencer.machine.config_store.config
        if config is not None and config.accepted_epoch <= epoch:
            accepted = max(accepted, config.accepted_epoch)
    driver.delivered.on_accepted(accepted)
