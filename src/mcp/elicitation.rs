//! Elicitation: asks the person who uses the client, with a form that the client shows.

use rmcp::RoleServer;
use rmcp::model::{
    ElicitRequest, ElicitRequestParams, ElicitationSchema, InputRequest, InputRequests, ServerRequest,
};
use rmcp::service::{PeerRequestOptions, RequestContext};
use serde_json::Value;

use super::in_flight::InFlight;
use crate::error::{Code, Error, Result};
use crate::ops::{ReviewQuestion, form};

fn elicitation(question: &ReviewQuestion) -> Result<ElicitRequest> {
    let Value::Object(schema) = form() else {
        return Err(Error::new(Code::Internal, "the schema of the review form is not a JSON object"));
    };
    let requested_schema = ElicitationSchema::from_json_schema(schema).map_err(|error| {
        Error::internal("the review form could not be written as an elicitation schema", error)
    })?;
    let message = question.message.clone();
    Ok(ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message,
        requested_schema,
    }))
}

/// The question as part of a response, for a client that takes no requests.
pub(super) fn input_request(question: &ReviewQuestion) -> Result<InputRequests> {
    Ok(InputRequests::from([(question.name.clone(), InputRequest::Elicitation(elicitation(question)?))]))
}

/// Sends the question to the client and waits for the answer without a time limit, a thread or a slot. Returns the
/// reason if there is no answer.
pub(super) async fn ask(
    question: &ReviewQuestion,
    context: &RequestContext<RoleServer>,
    in_flight: &InFlight,
) -> Result<Result<Value, String>> {
    in_flight.start_waiting(&context.id)?;
    let request = ServerRequest::ElicitRequest(elicitation(question)?);
    let sent = context.peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await;
    let mut sent = match sent {
        Ok(sent) => sent,
        Err(error) => return Ok(Err(format!("the client could not be asked: {error}"))),
    };
    tokio::select! {
        answer = &mut sent.rx => Ok(match answer {
            Ok(Ok(answer)) => Ok(serde_json::to_value(answer)
                .map_err(|error| Error::internal("the answer could not be read", error))?),
            Ok(Err(error)) => Err(format!("the client refused: {error}")),
            Err(_) => Err("the client disconnected".to_owned()),
        }),
        () = context.ct.cancelled() => {
            let why = "the call was cancelled".to_owned();
            // An error here means that the client has disconnected.
            sent.cancel(Some(why.clone())).await.ok();
            Ok(Err(why))
        }
        () = in_flight.client_closed() => Ok(Err("the client disconnected".to_owned())),
    }
}
