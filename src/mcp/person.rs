//! Asking the person behind a client, by a form that the client shows.

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
        return Err(Error::new(Code::Internal, "the form is no object"));
    };
    let requested_schema = ElicitationSchema::from_json_schema(schema)
        .map_err(|error| Error::internal("the form cannot be written", error))?;
    let message = question.message.clone();
    Ok(ElicitRequest::new(ElicitRequestParams::FormElicitationParams {
        meta: None,
        message,
        requested_schema,
    }))
}

/// The question as an answer asks it, under its name.
pub(super) fn input_request(question: &ReviewQuestion) -> Result<InputRequests> {
    Ok(InputRequests::from([(question.name.clone(), InputRequest::Elicitation(elicitation(question)?))]))
}

/// Sends the question to a client that takes requests, and waits for the answer as long as it takes;
/// it holds neither a thread nor a slot meanwhile. Where there is none, says why.
pub(super) async fn ask(
    question: &ReviewQuestion,
    context: &RequestContext<RoleServer>,
    in_flight: &InFlight,
) -> Result<Result<Value, String>> {
    in_flight.step_aside(&context.id)?;
    let request = ServerRequest::ElicitRequest(elicitation(question)?);
    let sent = context.peer.send_cancellable_request(request, PeerRequestOptions::no_options()).await;
    let mut asked = match sent {
        Ok(asked) => asked,
        Err(error) => return Ok(Err(format!("the client could not be asked: {error}"))),
    };
    tokio::select! {
        answer = &mut asked.rx => Ok(match answer {
            Ok(Ok(answer)) => Ok(serde_json::to_value(answer)
                .map_err(|error| Error::internal("the answer could not be read", error))?),
            Ok(Err(error)) => Err(format!("the client refused: {error}")),
            Err(_) => Err("the client went away".to_owned()),
        }),
        () = context.ct.cancelled() => {
            let why = "the call was cancelled".to_owned();
            // A client that has gone needs not be told.
            asked.cancel(Some(why.clone())).await.ok();
            Ok(Err(why))
        }
        () = in_flight.gone() => Ok(Err("the client went away".to_owned())),
    }
}
