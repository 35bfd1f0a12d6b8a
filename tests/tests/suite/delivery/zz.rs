use super::*;
use tests::metered::Metered;
#[tokio::test]
async fn zz_size() {
    let metered = Metered::warm().await;
    let c = metered.send("POST", &call("2")).await;
    for e in &c.dynamodb { println!("{} req {}", e.body, e.body.len()); }
}
