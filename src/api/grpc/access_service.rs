//! The methods of AccessService.

use tonic::{Request, Response, Status};

use super::Api;
use super::access::Access;
use crate::access::{Grants, Method};
use crate::error::{Error, ErrorKind};
use crate::proto::v1::access_service_server::AccessService;
use crate::proto::{parse, render, v1};

#[tonic::async_trait]
impl AccessService for Api {
    async fn who_am_i(
        &self,
        request: Request<v1::WhoAmIRequest>,
    ) -> Result<Response<v1::WhoAmIResponse>, Status> {
        let access = Access::of(request.extensions());
        let Some(principal) = access.principal() else {
            return Ok(Response::new(v1::WhoAmIResponse {
                credential_type: v1::CredentialType::Anonymous.into(),
                grants: Grants::all().iter().map(ToString::to_string).collect(),
                ..v1::WhoAmIResponse::default()
            }));
        };
        let credential_type = match principal.method() {
            Method::Anonymous => v1::CredentialType::Anonymous,
            Method::Token => v1::CredentialType::Token,
            Method::Jwt => v1::CredentialType::Jwt,
            Method::Certificate => v1::CredentialType::Certificate,
            Method::Minted => v1::CredentialType::Minted,
        };
        Ok(Response::new(v1::WhoAmIResponse {
            principal: (**principal.name()).to_owned(),
            credential_type: credential_type.into(),
            grants: principal.grants().iter().map(ToString::to_string).collect(),
            job_id: principal.job().map(|id| id.to_string()).unwrap_or_default(),
            expire_time: principal.expire_time().map(render::timestamp),
        }))
    }

    async fn mint_token(
        &self,
        request: Request<v1::MintTokenRequest>,
    ) -> Result<Response<v1::MintTokenResponse>, Status> {
        let access = Access::of(request.extensions());
        let parse::MintToken { job_id, lifetime } =
            parse::mint_token(request.get_ref()).map_err(self.status())?;
        if access.principal().is_some_and(|principal| principal.job().is_some()) {
            return Err(self.status()(no_minting()));
        }
        self.may_read(&access, job_id).await?;
        // Without a grant to check, the job has not been looked up.
        if access.limited().is_none() {
            self.engine.job_access(job_id).await.map_err(self.status())?;
        }
        let own_end = access.principal().and_then(|principal| principal.expire_time());
        let end = self.engine.now().wall.plus(lifetime);
        let expire_time = own_end.map_or(end, |own_end| end.min(own_end));
        let minter = access.principal().map_or("", |principal| &**principal.name());
        let token = self.token_keys.current().mint(job_id, minter, expire_time);
        self.audit(request.extensions(), "MintToken", &job_id.to_string());
        Ok(Response::new(v1::MintTokenResponse { token, expire_time: Some(render::timestamp(expire_time)) }))
    }
}

fn no_minting() -> Error {
    let kind = ErrorKind::GrantMissing { grant: "read".to_owned() };
    Error::new(kind, "a minted token cannot mint tokens: use the credential that minted it")
}
