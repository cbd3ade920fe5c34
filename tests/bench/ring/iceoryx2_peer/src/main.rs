//! iceoryx2_peer server|client NAME ROUNDS: a request and its response of 64 bytes between two processes
//! by iceoryx2, both spinning, for `scripts/bench.sh ring`. The server prints `ready`, and ends by the
//! client's last request. The client prints flat JSON.
use iceoryx2::prelude::*;
use iceoryx2::service::port_factory::request_response::PortFactory;
use std::error::Error;
use std::hint::spin_loop;
use std::time::Instant;

type Message = [u64; 8];
type Service = PortFactory<ipc::Service, Message, (), Message, ()>;
const STOP: u64 = u64::MAX;
const WARM_UP_ROUNDS: u64 = 2000;

fn serve(service: &Service) -> Result<(), Box<dyn Error>> {
    let server = service.server_builder().create()?;
    println!("ready");
    loop {
        let Some(request) = server.receive()? else {
            spin_loop();
            continue;
        };
        let message = *request;
        request.loan_uninit()?.write_payload(message).send()?;
        if message[0] == STOP {
            return Ok(());
        }
    }
}

fn call(service: &Service, rounds: u64) -> Result<Vec<u64>, Box<dyn Error>> {
    let client = service.client_builder().create()?;
    let round_trip = |number: u64| -> Result<(), Box<dyn Error>> {
        let pending = client.loan_uninit()?.write_payload([number; 8]).send()?;
        loop {
            if let Some(response) = pending.receive()? {
                assert_eq!(response[7], number);
                return Ok(());
            }
            spin_loop();
        }
    };
    for number in 0..WARM_UP_ROUNDS {
        round_trip(number)?;
    }
    let mut times = Vec::with_capacity(rounds as usize);
    for number in 0..rounds {
        let start = Instant::now();
        round_trip(number)?;
        times.push(start.elapsed().as_nanos() as u64);
    }
    round_trip(STOP)?;
    times.sort_unstable();
    Ok(times)
}

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().collect();
    let [_, side, name, rounds] = &arguments[..] else {
        eprintln!("usage: iceoryx2_peer server|client NAME ROUNDS");
        std::process::exit(64);
    };
    set_log_level(LogLevel::Error);
    let node = NodeBuilder::new().create::<ipc::Service>()?;
    let service = node
        .service_builder(&name.as_str().try_into()?)
        .request_response::<Message, Message>()
        .open_or_create()?;
    if side == "server" {
        return serve(&service);
    }
    let times = call(&service, rounds.parse()?)?;
    println!(
        "{{\"iceoryx2_rtt_p50_ns\": {}, \"iceoryx2_rtt_p99_ns\": {}}}",
        times[times.len() / 2],
        times[times.len() * 99 / 100]
    );
    Ok(())
}
